/** What is told on the topic `system-metrics` (OPS-1). */
import { z } from '@hono/zod-openapi';
import { CameraId, Timestamp } from '../schemas.ts';

export const SystemMetricsEvent = z
  .object({
    event_type: z.literal('detection_rate_changed'), event_id: z.uuid().describe('The same however often the event is delivered.'), camera: CameraId,
    detection_rate: z.object({
      from_fps: z.number().describe('Pictures a second that its fastest detector saw.'), to_fps: z.number().describe('That it sees from then on.'), full_fps: z.number().describe('That it would see without overload.'),
      models: z.array(z.object({ detector: z.string(), from_model: z.string().describe('The model that it ran on.'), to_model: z.string().describe('That it runs on from then on.'), full_model: z.string().describe('That it would run on without overload.') })).describe('Of each of its detectors.'),
      cause: z.string().describe('`worker_busy`, `queue_wait`, `extractor_busy`, `cpu_busy`, `recovered`, `settings`.'),
    }),
    timestamp: Timestamp,
  })
  .openapi('SystemMetricsEvent');
export type SystemMetricsEvent = z.output<typeof SystemMetricsEvent>;
