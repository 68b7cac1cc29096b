import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import type { ApiEnv } from '../api-env.ts';
import { answerTagged, tagged } from '../etag.ts';
import type { Guard } from '../guard.ts';
import { PageQuery, decodeCursor, page, pageOf } from '../paging.ts';
import { CameraId, Instant, Timestamp, bearer, guarded, invalid, json, timestamp } from '../schemas.ts';
import type { DetectionService } from './service.ts';
import type { DetectionRow } from './store.ts';

const Query = z
  .object({
    camera: CameraId.optional(), from: Instant.optional(), to: Instant.optional(),
    class: z.string().max(128).optional(), class_name: z.string().max(128).optional().describe('The same as `class`.'),
    min_confidence: z.coerce.number().min(0).max(1).optional(), model: z.string().max(128).optional(),
    source: z.enum(['live', 'analysis']).prefault('live').describe('Made live, or on recordings by an analysis.'), analysis: z.string().max(64).optional().describe('Of this analysis only.'),
    order: z.enum(['asc', 'desc']).prefault('desc').describe('By `captured_at`; newest first by default.'), ...PageQuery,
  })
  .refine((query) => query.from === undefined || query.to === undefined || query.from < query.to, { path: ['to'], error: 'must be after from' })
  .refine((query) => query.class === undefined || query.class_name === undefined || query.class === query.class_name, { path: ['class_name'], error: 'differs from class' });

const StoredDetection = z
  .object({
    id: z.int(), camera: CameraId, stream_epoch: z.number(), rtp_timestamp: z.int(), captured_at: Timestamp, sequence: z.int(), class_name: z.string(), class_id: z.int(),
    confidence: z.number(), bbox: z.object({ x: z.number(), y: z.number(), width: z.number(), height: z.number() }).describe('Pixels of the encoded picture.'),
    track_id: z.string().nullable().describe('The object this is: the same from picture to picture, and no other of the camera within one `stream_epoch`. Null: not tracked, or made by an analysis.'), model: z.string(), model_digest: z.string(), analysis: z.string().nullable().describe('Of the analysis that made it last; null: made live.'),
  })
  .openapi('Detection');

const view = (row: DetectionRow): z.output<typeof StoredDetection> => ({
  id: row.id, camera: row.camera_id, stream_epoch: row.stream_epoch, rtp_timestamp: row.rtp_timestamp, captured_at: timestamp(row.captured_at_ms), sequence: row.sequence,
  class_name: row.class_name, class_id: row.class_id, confidence: row.confidence, bbox: { x: row.x, y: row.y, width: row.width, height: row.height },
  track_id: row.track_id, model: row.model, model_digest: row.model_digest, analysis: row.analysis_id,
});

export const detectionRoutes = (detections: DetectionService, guard: Guard) => {
  const list = createRoute({
    method: 'get', path: '/detections', tags: ['detections'], summary: 'Stored detections by camera, time, class, confidence and model.', security: bearer,
    middleware: guard.require('detection:view'), request: { query: Query }, responses: { 200: json(pageOf(StoredDetection), 'A page.'), 304: { description: 'Unchanged.' }, ...invalid, ...guarded },
  });
  return new OpenAPIHono<ApiEnv>().openapi(list, async (c) => {
    const { camera, from, to, class: className, class_name: alias, min_confidence: minConfidence, model, source, analysis, order, limit, cursor } = c.req.valid('query');
    const after = decodeCursor(cursor, z.tuple([z.number(), z.int()]));
    const rows = await detections.list({ camera, from, to, className: className ?? alias, minConfidence, model, source, analysis }, order, after, limit + 1);
    return answerTagged(c.req.header('if-none-match'), tagged(page(rows, limit, view, (row) => [row.captured_at_ms, row.id])));
  });
};
