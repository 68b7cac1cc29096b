import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import { GAP_CAUSES, toGapCause } from '../../recorder/port.ts';
import type { SegmentTrack } from '../../recorder/port.ts';
import type { ApiEnv } from '../api-env.ts';
import { answerTagged, tagged } from '../etag.ts';
import { PageQuery, decodeCursor, page, pageOf } from '../paging.ts';
import { CameraId, Instant, Timestamp, bearer, guarded, invalid, json, missing, timestamp } from '../schemas.ts';
import { searchRoutes } from './search-routes.ts';
import type { SearchRoutesOptions } from './search-routes.ts';
import type { ListedSegment } from './service.ts';
import type { SegmentRow } from './store.ts';

const CameraParam = z.object({ camera: CameraId.openapi({ param: { name: 'camera', in: 'path' } }) });
const ordered = (range: { readonly from?: number | undefined; readonly to?: number | undefined }): boolean => range.from === undefined || range.to === undefined || range.from < range.to;
const notOrdered = { path: ['to'], error: 'must be after from' };
const RangeQuery = z.object({ from: Instant.optional(), to: Instant.optional(), ...PageQuery }).refine(ordered, notOrdered);
const Position = z.tuple([z.number(), z.string()]);

const Segment = z
  .object({
    id: z.string(), start: Timestamp, duration: z.number().describe('Seconds.'), bytes: z.int(), sha256: z.string().nullable(),
    prev_sha256: z.string().nullable().describe('SHA-256 of the segment before, as this one says; null: the first, the one before was not closed yet, or a version that did not chain.'),
    tracks: z.array(z.object({ kind: z.enum(['video', 'audio']), codec: z.string(), width: z.int().nullable(), height: z.int().nullable() })),
    gap_before: z.number().nullable().describe('Seconds that were missing since the segment before when this one was begun; `gaps` tells what still is.'), pinned: z.boolean().describe("A mark keeps it on the edge's disk."), archived: z.boolean().describe('It is in the archive.'), open: z.boolean().describe('Still being written.'),
  })
  .openapi('Segment');
const Gap = z
  .object({ start: Timestamp, end: Timestamp, duration: z.number().describe('Seconds.'), cause: z.enum(GAP_CAUSES).nullable().describe('Null in recordings of versions that did not say.') })
  .openapi('Gap');

const seconds = (ms: number): number => Math.round(ms) / 1000;
const segmentView = (row: ListedSegment): z.output<typeof Segment> => ({
  id: row.id, start: timestamp(row.start_ms), duration: seconds(row.end_ms - row.start_ms), bytes: row.bytes, sha256: row.sha256, prev_sha256: row.prev_sha256, tracks: JSON.parse(row.tracks) as SegmentTrack[],
  gap_before: row.gap_before === null ? null : seconds(row.gap_before), pinned: row.pinned, archived: row.archived_at !== null, open: row.open === 1,
});
const gapView = (row: SegmentRow): z.output<typeof Gap> => {
  const length = row.gap_before ?? 0;
  return { start: timestamp(row.start_ms - length), end: timestamp(row.start_ms), duration: seconds(length), cause: toGapCause(row.gap_cause) ?? null };
};

export const recordingRoutes = (options: SearchRoutesOptions) => {
  const { recordings, guard } = options;
  const common = { tags: ['recordings'], security: bearer, middleware: guard.require('recording:view') };
  const unchanged = { 304: { description: 'Unchanged.' } };
  const segments = createRoute({
    ...common, method: 'get', path: '/recordings/{camera}/segments', summary: 'Segments that overlap a range, in order.', request: { params: CameraParam, query: RangeQuery },
    responses: { 200: json(pageOf(Segment), 'A page.'), ...unchanged, ...invalid, ...guarded, ...missing },
  });
  const gaps = createRoute({
    ...common, method: 'get', path: '/recordings/{camera}/gaps', summary: 'What is missing between segments, in order.', request: { params: CameraParam, query: RangeQuery },
    responses: { 200: json(pageOf(Gap), 'A page.'), ...unchanged, ...invalid, ...guarded, ...missing },
  });
  return new OpenAPIHono<ApiEnv>()
    .route('/', searchRoutes(options))
    .openapi(segments, async (c) => {
      const { from, to, limit, cursor } = c.req.valid('query');
      const rows = await recordings.segments(c.req.valid('param').camera, { from, to }, decodeCursor(cursor, Position), limit + 1);
      return answerTagged(c.req.header('if-none-match'), tagged(page(rows, limit, segmentView, (row) => [row.start_ms, row.id])));
    })
    .openapi(gaps, async (c) => {
      const { from, to, limit, cursor } = c.req.valid('query');
      const rows = await recordings.gaps(c.req.valid('param').camera, { from, to }, decodeCursor(cursor, Position), limit + 1);
      return answerTagged(c.req.header('if-none-match'), tagged(page(rows, limit, gapView, (row) => [row.start_ms, row.id])));
    });
};
