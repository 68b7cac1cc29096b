import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Of package.json. */
export const productVersion = async (): Promise<string> => (JSON.parse(await readFile(join(import.meta.dirname, '..', 'package.json'), 'utf8')) as { version: string }).version;
