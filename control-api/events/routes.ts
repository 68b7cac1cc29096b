/** `GET /v1/events`: what happened, in order, from any point on. `/v1/ws` brings the same as it happens. */
import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import { createMiddleware } from 'hono/factory';
import { TOPIC_NAMES } from '../../core/topics.ts';
import type { ApiEnv } from '../api-env.ts';
import type { Guard } from '../guard.ts';
import { CameraId, bearer, guarded, invalid, json } from '../schemas.ts';
import { EventCursor } from './cursor.ts';
import { TOPICS } from './service.ts';
import type { EventService } from './service.ts';
import { SystemMetricsEvent } from './system-metrics-event.ts';
import { VideoAnalysisEvent } from './video-analysis-event.ts';
import { VideoStreamArchiveEvent } from './video-stream-archive-event.ts';

const Query = z.object({
  topic: z.enum(TOPIC_NAMES), camera: CameraId.optional(),
  cursor: EventCursor.optional().describe('Of the last event read; by default from the oldest that is kept.'),
  limit: z.coerce.number().int().min(1).max(1000).prefault(100).describe('Looks at so many events; of them those of the camera asked for are given.'),
});

const Events = z
  .object({
    items: z.array(z.object({ cursor: EventCursor, event: z.union([VideoAnalysisEvent, VideoStreamArchiveEvent, SystemMetricsEvent]) })),
    cursor: EventCursor.describe('Everything up to here has been read, of the camera asked for: the next time, ask with this one.'),
    next_cursor: z.string().nullable().describe('Null: nothing more yet.'),
    missed: z.boolean().describe('Events of the topic behind the cursor given were deleted by their age or number before they were read.'),
  })
  .openapi('Events');

export const eventRoutes = (events: EventService, guard: Guard) => {
  /** Each topic has its own permission; an unknown one is refused by the query's schema. */
  const ofTopic = createMiddleware<ApiEnv>((c, next) => {
    const topic = TOPIC_NAMES.find((name) => name === c.req.query('topic'));
    return guard.require(topic === undefined ? null : TOPICS[topic].permission)(c, next);
  });
  const list = createRoute({
    method: 'get', path: '/events', tags: ['events'], security: bearer, middleware: ofTopic, request: { query: Query },
    summary: 'Events of a topic, oldest first.', responses: { 200: json(Events, 'A page.'), ...invalid, ...guarded },
  });
  return new OpenAPIHono<ApiEnv>().openapi(list, async (c) => {
    const { topic, camera, cursor, limit } = c.req.valid('query');
    const after = await events.positionOf(topic, cursor ?? '0');
    const { events: found, deletedThrough } = await events.read(topic, after, limit);
    const last = found.at(-1);
    return c.json({
      items: found.filter((event) => camera === undefined || event.camera === camera).map(({ id, body }) => ({ cursor: String(id), event: JSON.parse(body) as VideoAnalysisEvent | VideoStreamArchiveEvent | SystemMetricsEvent })),
      cursor: String(Math.max(last?.id ?? after, deletedThrough)),
      next_cursor: found.length === limit && last !== undefined ? String(last.id) : null, missed: cursor !== undefined && deletedThrough > after,
    }, 200);
  });
};
