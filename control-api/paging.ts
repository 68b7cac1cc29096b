/** Cursor paging: every list answers `{items, next_cursor}` and takes `limit` and `cursor` (contract 0.5). */
import * as z from 'zod';
import { ValidationError } from './problem.ts';

/** Members of every list's query. */
export const PageQuery = {
  limit: z.coerce.number().int().min(1).max(1000).prefault(100).describe('At most so many items.'),
  cursor: z.string().max(512).optional().describe('`next_cursor` of the page before.'),
};

/** The schema of a page of `item`. */
export const pageOf = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), next_cursor: z.string().nullable() });

/** A position in an ordered list, opaque to clients. */
export const encodeCursor = (position: readonly (string | number)[]): string => Buffer.from(JSON.stringify(position)).toString('base64url');

/** Reads back what `encodeCursor` wrote. Throws ValidationError for anything else. */
export const decodeCursor = <T>(cursor: string | undefined, schema: z.ZodType<T>): T | undefined => {
  if (cursor === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')));
  } catch {
    throw new ValidationError([{ field: 'cursor', message: 'is not a cursor of this list', value: null }]);
  }
};

/** Cuts `rows`, asked for with `limit + 1`, into a page and the position after it. */
export const page = <Row, View>(rows: readonly Row[], limit: number, view: (row: Row) => View, position: (row: Row) => readonly (string | number)[]) => {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items: items.map(view), next_cursor: rows.length > limit && last !== undefined ? encodeCursor(position(last)) : null };
};
