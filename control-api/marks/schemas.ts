/** The JSON of marks, strict in what it takes. */
import { z } from '@hono/zod-openapi';
import { CameraId, Instant, Timestamp } from '../schemas.ts';
import { MAX_MARK_MS } from './order.ts';

/** One line: no control characters, which databases and logs refuse, and no halves of surrogate pairs. */
const line = (max: number) => z.string().normalize().trim().min(1).max(max).regex(/^[^\p{Cc}\p{Cs}]*$/u, 'must be one line of text');
const Note = z.string().normalize().trim().min(1).max(4000).regex(/^(?:[^\p{Cc}\p{Cs}]|[\n\r\t])*$/u, 'must be text');
/** Without commas: queries list tags with them. */
export const Tag = line(64).regex(/^[^,]*$/, 'must have no comma');
const MAX_TAGS = 32;
/** Of a clip around a moment, each side. */
const MAX_ROLL_SECONDS = 3600;

export const KINDS = ['pin', 'link', 'clip'] as const;
export const MarkKind = z.enum(KINDS).openapi('MarkKind', { description: '`pin`: keep it. `link`: it shows a product, an inspection or a work order. `clip`: an event with what came before and after.' });

/** PRO-1, and the inspection. */
const Product = {
  product_id: line(128), inspection_id: line(128), work_order_id: line(128), instruction_id: line(128), product_type: line(128), machine_number: line(128),
  production_date: z.iso.date(), monthly_sequence: z.int().min(0).max(1_000_000_000), inspection_result: line(32).openapi({ example: 'NG' }),
};
/** What queries ask for of it. */
export const ProductQuery = { ...z.object(Product).partial().shape, monthly_sequence: z.coerce.number().int().min(0).max(1_000_000_000).optional() };

const Texts = { ...Product, title: line(200), note: Note };
const nullable = Object.fromEntries(Object.entries(Texts).map(([name, schema]) => [name, schema.nullable()])) as { [K in keyof typeof Texts]: z.ZodNullable<(typeof Texts)[K]> };
const Tags = z.array(Tag).max(MAX_TAGS);
const Archive = z.boolean().describe('Goes to the archive, and stays on disk until it is there. By default a pin does not, links and clips do.');

const tooLong = `must be at most ${String(MAX_MARK_MS / 3_600_000)} hours after from`;

export const NewMark = z
  .strictObject({
    ...z.object(nullable).partial().shape,
    kind: MarkKind, from: Instant.optional(), to: Instant.optional(),
    at: Instant.optional().describe('Of a clip, in place of `from` and `to`: the moment it is about.'),
    pre_seconds: z.number().min(0).max(MAX_ROLL_SECONDS).optional().describe('With `at`: so much before it, 10 by default. Playback begins at the key frame before that.'),
    post_seconds: z.number().min(0).max(MAX_ROLL_SECONDS).optional().describe('With `at`: so much after it, 10 by default; it may lie in the future.'),
    archive: Archive.optional(), tags: Tags.optional(),
  })
  .refine((mark) => mark.at === undefined || mark.kind === 'clip', { path: ['at'], error: 'is for clips' })
  .refine((mark) => mark.at !== undefined || (mark.pre_seconds === undefined && mark.post_seconds === undefined), { path: ['at'], error: 'is missing beside pre_seconds and post_seconds' })
  .refine((mark) => (mark.at === undefined ? mark.from !== undefined && mark.to !== undefined : mark.from === undefined && mark.to === undefined), { path: ['from'], error: 'give from and to, or for a clip at' })
  .openapi('NewMark');
export type NewMark = z.output<typeof NewMark>;

/** What is named is set; null takes a text away. */
export const MarkPatch = z.strictObject({ ...nullable, from: Instant, to: Instant, archive: Archive, tags: Tags }).partial().openapi('MarkPatch');
export type MarkPatch = z.output<typeof MarkPatch>;

/** The bounds of a range that is complete; the message, or undefined. */
export const rangeError = (from: number, to: number): { readonly field: string; readonly message: string } | undefined => {
  if (from < 0) return { field: 'from', message: 'must be after 1970' };
  if (to <= from) return { field: 'to', message: 'must be after from' };
  if (to - from > MAX_MARK_MS) return { field: 'to', message: tooLong };
  return undefined;
};

export const Mark = z
  .object({
    id: z.string(), camera: CameraId, kind: MarkKind, from: Timestamp, to: Timestamp, duration: z.number().describe('Seconds.'), archive: z.boolean(), tags: z.array(z.string()),
    ...(Object.fromEntries(Object.keys(Texts).map((name) => [name, name === 'monthly_sequence' ? z.int().nullable() : z.string().nullable()])) as unknown as {
      [K in keyof typeof Texts]: z.ZodNullable<(typeof Texts)[K]>
    }),
    created_at: Timestamp, created_by: z.string().nullable().describe('The user, or the policy.'),
    playback: z.string().describe('Path of the range as one MP4.'),
  })
  .openapi('Mark', { description: 'What somebody or a policy says of a range of recordings; it outlives the rolling window.' });
