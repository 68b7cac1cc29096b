/** Byte ranges (RFC 9110 §14). */

export interface ByteRange {
  readonly start: number;
  /** One past the last byte. */
  readonly end: number;
}

const ONE_RANGE = /^bytes *= *(?:(\d{1,15})-(\d{0,15})|-(\d{1,15}))$/i;

/**
 * The one range a `Range` header asks for, of `length` bytes. Null: serve the whole (no header, several ranges, another unit, nonsense;
 * §14.2 lets a server ignore them). `unsatisfiable`: 416.
 */
export const parseRange = (header: string | undefined, length: number): ByteRange | 'unsatisfiable' | null => {
  const match = header === undefined ? null : ONE_RANGE.exec(header.trim());
  if (match === null) return null;
  const [, first, last, suffix] = match;
  if (suffix !== undefined) {
    const bytes = Number(suffix);
    return bytes === 0 || length === 0 ? 'unsatisfiable' : { start: Math.max(0, length - bytes), end: length };
  }
  const start = Number(first);
  const end = last === undefined || last === '' ? Number.POSITIVE_INFINITY : Number(last) + 1;
  if (end <= start) return null;
  return start >= length ? 'unsatisfiable' : { start, end: Math.min(end, length) };
};

/** Whether `If-Range` allows a part (§13.1.5): only the very same strong tag does; a date never, for we keep none. */
export const ifRangeAllows = (header: string | undefined, etag: string): boolean => header === undefined || header.trim() === etag;
