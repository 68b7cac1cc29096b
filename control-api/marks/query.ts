/** The members of a query that ask for marks; `GET /v1/recordings` takes them, too. */
import { z } from '@hono/zod-openapi';
import { CameraId } from '../schemas.ts';
import type { MarkFilter } from './filter.ts';
import { PRODUCT_FIELDS } from './filter.ts';
import { ProductQuery, Tag } from './schemas.ts';

/** `?x=a&x=b` or `?x=a,b`. */
export const commaList = <T extends z.ZodType<unknown, string>>(member: T, max: number, description: string) =>
  z
    .union([z.string(), z.array(z.string())])
    .transform((given) => [given].flat().flatMap((text) => text.split(',')).filter((text) => text !== ''))
    .pipe(z.array(member).min(1).max(max))
    .openapi({ type: 'array', items: { type: 'string' }, description })
    .optional();

export const CamerasQuery = commaList(CameraId, 100, 'One of these cameras: repeat it, or separate with commas.');

export const MarkQuery = {
  ...ProductQuery,
  production_date_from: z.iso.date().optional().describe('The first day.'),
  production_date_to: z.iso.date().optional().describe('The last day.'),
  tags: commaList(Tag, 16, 'Has all of these tags.'),
  q: z.string().max(200).regex(/[\p{L}\p{N}\p{M}]/u, 'must have a word').optional().describe('Words in title, note, tags, product fields or camera name; each may be the beginning of a longer one.'),
};
type MarkQueryValues = z.output<z.ZodObject<typeof MarkQuery>>;

const NAMES = [...PRODUCT_FIELDS, 'monthly_sequence', 'production_date_from', 'production_date_to', 'q'] as const;

/** The filter of these members; undefined when none is given. */
export const markFilterOf = (query: MarkQueryValues): MarkFilter | undefined => {
  const { tags } = query;
  const given = Object.fromEntries(NAMES.filter((name) => query[name] !== undefined).map((name) => [name, query[name]])) as MarkFilter;
  if (Object.keys(given).length === 0 && tags === undefined) return undefined;
  return { ...given, tags };
};
