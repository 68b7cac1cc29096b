/** `GET /v1/recordings`: what was recorded, or what of it was marked, or what was seen in it [REC-6]. */
import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import type { ApiEnv } from '../api-env.ts';
import { answerTagged, tagged } from '../etag.ts';
import type { Guard } from '../guard.ts';
import { CamerasQuery, MarkQuery, MarkSchema, markFilterOf, markView } from '../marks/service.ts';
import { PageQuery, decodeCursor, encodeCursor, page, pageOf } from '../paging.ts';
import { CameraId, Instant, Timestamp, bearer, guarded, invalid, json, timestamp } from '../schemas.ts';
import type { Clock } from '../../core/clock.ts';
import type { RecordingMentions } from './mention.ts';
import type { Hit, SeenFilter } from './search.ts';
import type { RecordingService } from './service.ts';

const Query = z
  .object({
    camera: CamerasQuery, from: Instant.optional(), to: Instant.optional(), ...MarkQuery,
    class: z.string().min(1).max(128).optional().describe('This class was seen.'), class_name: z.string().min(1).max(128).optional().describe('The same as `class`.'),
    min_count: z.coerce.number().int().min(1).max(1_000_000_000).optional().describe('With `class`: at least so many detections.'),
    min_at_once: z.coerce.number().int().min(1).max(1_000_000).optional().describe('With `class`: at least so many in one picture.'),
    min_confidence: z.coerce.number().min(0).max(1).optional().describe('With `class`: at least once so sure.'),
    source: z.enum(['live', 'analysis']).optional().describe('With `class`: seen live, or found by an analysis of the recording. Default: either, each by itself.'),
    ...PageQuery,
  })
  .refine((query) => query.from === undefined || query.to === undefined || query.from < query.to, { path: ['to'], error: 'must be after from' })
  .refine((query) => query.class === undefined || query.class_name === undefined || query.class === query.class_name, { path: ['class_name'], error: 'differs from class' })
  .refine((query) => (query.class ?? query.class_name) !== undefined || (query.min_count ?? query.min_at_once ?? query.min_confidence ?? query.source) === undefined, { path: ['class'], error: 'is missing beside min_count, min_at_once, min_confidence or source' });

const Recording = z
  .object({
    camera: CameraId, session_id: z.string().describe('Of its beginning.'), start: Timestamp, end: Timestamp, duration: z.number().describe('Seconds.'), bytes: z.int().describe('Of its segments.'),
    segments: z.int(), open: z.boolean(), playback: z.string().describe('Path of the whole as one MP4.'), mark: MarkSchema.nullable().describe('That it was found by.'),
    detections: z.object({
      class_name: z.string(), count: z.int(), at_once: z.int().describe('The most in one picture.'), max_confidence: z.number(),
      source: z.enum(['live', 'analysis']).describe('Whose figures these are: seen live, or found by analyses of the recording. They are never added up.'), model: z.string().nullable().describe('Of an analysis: by which model.'),
    }).nullable().describe('Of the class asked for.'),
  })
  .openapi('Recording', { description: 'Gapless segments of one session; of a search for marks the marked range as far as it is recorded, of one for a class the segments in which it was seen.' });

const path = (camera: string, from: number, to: number): string => `/v1/recordings/${camera}/playback?from=${timestamp(Math.floor(from))}&to=${timestamp(Math.ceil(to))}`;

const view = (row: Hit): z.output<typeof Recording> => ({
  camera: row.camera_id, session_id: row.session_id, start: timestamp(row.start_ms), end: timestamp(row.end_ms), duration: Math.round(row.end_ms - row.start_ms) / 1000, bytes: row.bytes,
  segments: row.segments, open: row.open === 1, playback: path(row.camera_id, row.start_ms, row.end_ms), mark: row.mark === null ? null : markView(row.mark),
  detections: row.seen === null ? null : { class_name: row.seen.className, count: row.seen.count, at_once: row.seen.atOnce, max_confidence: row.seen.maxConfidence, source: row.seen.analysedBy === null ? 'live' : 'analysis', model: row.seen.analysedBy },
});

/** What was asked beside cameras, time and paging. */
const filtersOf = ({ camera: _camera, from: _from, to: _to, limit: _limit, cursor: _cursor, ...rest }: z.output<typeof Query>): Record<string, string | number | string[]> =>
  Object.fromEntries(Object.entries(rest).filter((entry): entry is [string, string | number | string[]] => entry[1] !== undefined));

const RunPosition = z.tuple([z.number(), z.string()]);
const SightingPosition = z.tuple([z.number(), z.string(), z.string()]);
const MarkPosition = z.tuple([z.int()]);

export interface SearchRoutesOptions {
  readonly recordings: RecordingService;
  readonly mentions: RecordingMentions;
  readonly guard: Guard;
  readonly clock: Clock;
}

export const searchRoutes = ({ recordings, mentions, guard, clock }: SearchRoutesOptions) => {
  const search = createRoute({
    method: 'get', path: '/recordings', tags: ['recordings'], security: bearer, middleware: guard.require('recording:view'), request: { query: Query },
    summary: 'What was recorded, newest first, of cameras that are gone too. Every filter narrows it. A page may have fewer items than asked for, or none, and still a `next_cursor`.',
    responses: { 200: json(pageOf(Recording), 'A page.'), 304: { description: 'Unchanged.' }, ...invalid, ...guarded },
  });
  return new OpenAPIHono<ApiEnv>().openapi(search, async (c) => {
    const asked = c.req.valid('query');
    const { camera: cameras, from, to, class: className, class_name: alias, min_count, min_at_once, min_confidence, source, limit, cursor, ...query } = asked;
    const began = clock.monotonic();
    const marks = markFilterOf(query);
    const wanted = className ?? alias;
    const seen: SeenFilter | undefined = wanted === undefined ? undefined : { className: wanted, minCount: min_count, minAtOnce: min_at_once, minConfidence: min_confidence, source };
    const answer = (body: { readonly items: readonly unknown[]; readonly next_cursor: string | null }): Response => {
      if (cursor === undefined) {
        mentions.searched({ by: c.get('principal').username, cameras, from, to, filters: filtersOf(asked), hits: body.items.length, more: body.next_cursor !== null, tookMs: clock.monotonic() - began });
      }
      return answerTagged(c.req.header('if-none-match'), tagged(body));
    };
    if (marks !== undefined) {
      const { hits, next } = await recordings.search.byMarks({ ...marks, cameras, from, to, seen }, decodeCursor(cursor, MarkPosition)?.[0], limit);
      return answer({ items: hits.map(view), next_cursor: next === null ? null : encodeCursor([next]) });
    }
    if (seen !== undefined) {
      const { hits, next } = await recordings.search.bySightings({ cameras, from, to }, seen, decodeCursor(cursor, SightingPosition), limit);
      return answer({ items: hits.map(view), next_cursor: next === null ? null : encodeCursor(next) });
    }
    const rows = await recordings.recordings({ cameras, from, to }, decodeCursor(cursor, RunPosition), limit + 1);
    return answer(page(rows, limit, (row) => view({ ...row, mark: null, seen: null }), (row) => [row.start_ms, row.camera_id]));
  });
};
