/** `GET /v1/detections/timeline`: what a camera saw, and when, for a time line to be drawn. */
import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import type { ApiEnv } from '../api-env.ts';
import { answerTagged, tagged } from '../etag.ts';
import type { Guard } from '../guard.ts';
import { CameraId, Instant, Timestamp, bearer, guarded, invalid, json, timestamp, unprocessable } from '../schemas.ts';
import type { DetectionService } from './service.ts';
import type { Lane } from './timeline.ts';

const MAX_DAYS = 31;
const MAX_BUCKETS = 500;

const Query = z
  .object({
    camera: CameraId, from: Instant, to: Instant.describe(`At most ${MAX_DAYS} days after \`from\`.`),
    buckets: z.coerce.number().int().min(1).max(MAX_BUCKETS).prefault(200).describe('Into so many equal parts the time is divided.'),
    class: z.string().min(1).max(128).optional().describe('Of this class only.'), class_name: z.string().min(1).max(128).optional().describe('The same as `class`.'),
  })
  .refine((query) => query.from < query.to, { path: ['to'], error: 'must be after from' })
  .refine((query) => query.to - query.from <= MAX_DAYS * 86_400_000, { path: ['to'], error: `must be at most ${MAX_DAYS} days after from` })
  .refine((query) => query.class === undefined || query.class_name === undefined || query.class === query.class_name, { path: ['class_name'], error: 'differs from class' });

const Buckets = z.array(z.int());
const SeenClass = z
  .object({
    class_name: z.string(), source: z.enum(['live', 'analysis']).describe('Seen live, or found by analyses of the recording. Both see the same objects: never add them up.'),
    model: z.string().nullable().describe('Of an analysis: by which model.'), count: z.int().describe('Detections.'), max_confidence: z.number(),
    counts: Buckets.describe('Detections in each bucket.'), at_once: Buckets.describe('The most in one picture of each bucket; 0: it was not seen.'),
  })
  .openapi('SeenClass');
const DetectionTimeline = z
  .object({
    camera: CameraId, from: Timestamp, to: Timestamp, buckets: z.int(), bucket_seconds: z.number(),
    exact: z.boolean().describe('Counted picture by picture. Otherwise from sightings: stretches of time in which a class was seen without a break of more than 10 s. Their detections are spread evenly over them, and such a break does not show.'),
    seen: z.array(SeenClass).describe('Those with the most detections first.'), left_out: z.int().describe('So many classes are not listed: at most 64 are.'),
  })
  .openapi('DetectionTimeline');

const view = ({ className, model, count, maxConfidence, counts, atOnce }: Lane): z.output<typeof SeenClass> => ({
  class_name: className, source: model === null ? 'live' : 'analysis', model, count, max_confidence: maxConfidence, counts: [...counts], at_once: [...atOnce],
});

export const timelineRoutes = (detections: DetectionService, guard: Guard) => {
  const timeline = createRoute({
    method: 'get', path: '/detections/timeline', tags: ['detections'], summary: 'What a camera saw in each of so many equal parts of a time.', security: bearer, middleware: guard.require('detection:view'),
    request: { query: Query }, responses: { 200: json(DetectionTimeline, 'All of the time, also where nothing was seen.'), 304: { description: 'Unchanged.' }, ...invalid, ...guarded, ...unprocessable },
  });
  return new OpenAPIHono<ApiEnv>().openapi(timeline, async (c) => {
    const { camera, from, to, buckets, class: className, class_name: alias } = c.req.valid('query');
    const { exact, lanes, leftOut } = await detections.timeline(camera, { from, to, count: buckets }, className ?? alias);
    return answerTagged(c.req.header('if-none-match'), tagged({
      camera, from: timestamp(from), to: timestamp(to), buckets, bucket_seconds: (to - from) / buckets / 1000, exact, seen: lanes.map(view), left_out: leftOut,
    } satisfies z.output<typeof DetectionTimeline>));
  });
};
