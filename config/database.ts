import * as z from 'zod';
import { secret } from './marks.ts';

const isUsable = (url: string): boolean => /^postgres(ql)?:\/\//.test(url) && URL.canParse(url);

export const DatabaseConfig = z.strictObject({
  url: z.string().refine(isUsable, 'a URL as postgres://user:password@host:5432/database').optional().meta(secret).describe('A PostgreSQL database, `postgres://user:password@host:5432/database`; default: SQLite in `{data_dir}/imageflow.db`.'),
});
