/** What an upload says of its range in its query [SD-52]: the members of a mark, without kind and range. */
import { toValidationError } from '../validation.ts';
import { NewMark, ProductQuery } from './schemas.ts';
import type { Mark } from './store.ts';

/** A mark without its range. */
export type UploadMark = Omit<NewMark, 'from' | 'to' | 'at' | 'pre_seconds' | 'post_seconds'>;

const TEXTS = [...Object.keys(ProductQuery), 'title', 'note'] as const;
/** Stands in for the range, which is known when the file was read. */
const ANY_RANGE = { from: '2026-01-01T00:00:00Z', to: '2026-01-01T00:00:01Z' };

/** Null: it says nothing. Throws ValidationError. */
export const uploadMarkOf = (query: URLSearchParams): UploadMark | null => {
  const given: Record<string, unknown> = {};
  for (const name of TEXTS) {
    const value = query.get(name);
    if (value !== null) given[name] = name === 'monthly_sequence' ? Number(value) : value;
  }
  const tags = query.getAll('tags').flatMap((list) => list.split(',')).filter((tag) => tag.trim() !== '');
  if (tags.length > 0) given['tags'] = tags;
  const archive = query.get('archive');
  if (archive !== null) given['archive'] = archive === 'true' ? true : archive === 'false' ? false : archive;
  if (Object.keys(given).length === 0) return null;
  const parsed = NewMark.safeParse({ kind: 'link', ...ANY_RANGE, ...given });
  if (!parsed.success) throw toValidationError(parsed.error, given);
  const { from: _from, to: _to, ...mark } = parsed.data;
  return mark;
};

/** Whether a mark says all of it already. */
export const saysAlready = (mark: Mark, { kind, tags = [], archive, ...texts }: UploadMark): boolean =>
  mark.kind === kind && (archive === undefined || (mark.archive === 1) === archive) && tags.every((tag) => mark.tags.includes(tag))
  && Object.entries(texts).every(([name, value]) => value === undefined || (name in mark && mark[name as keyof Mark] === value));
