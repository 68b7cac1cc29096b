/** What is told on the topic `system-metrics` (OPS-1). */
import { z } from '@hono/zod-openapi';
import { CameraId, Timestamp } from '../schemas.ts';

const common = { event_id: z.uuid().describe('The same however often the event is delivered.'), camera: CameraId, timestamp: Timestamp };

const DetectionRateEvent = z.object({
  event_type: z.literal('detection_rate_changed'), ...common,
  detection_rate: z.object({
    from_fps: z.number().describe('Pictures a second that its fastest detector saw.'), to_fps: z.number().describe('That it sees from then on.'), full_fps: z.number().describe('That it would see without overload.'),
    models: z.array(z.object({ detector: z.string(), from_model: z.string().describe('The model that it ran on.'), to_model: z.string().describe('That it runs on from then on.'), full_model: z.string().describe('That it would run on without overload.') })).describe('Of each of its detectors.'),
    cause: z.string().describe('`worker_busy`, `queue_wait`, `extractor_busy`, `cpu_busy`, `recovered`, `settings`.'),
  }),
});
export type DetectionRateEvent = z.output<typeof DetectionRateEvent>;

const ShownHeightEvent = z.object({
  event_type: z.literal('shown_height_changed'), ...common,
  shown_height: z.object({
    from: z.int().describe('Pixels: of the largest pictures, or video with boxes burned in, that somebody watched.'), to: z.int().describe('From then on.'), full: z.int().describe('While the machine has time for all.'),
    cause: z.string().describe('`cpu_busy`, `recovered`, `settings`.'),
  }),
});
export type ShownHeightEvent = z.output<typeof ShownHeightEvent>;

export const SystemMetricsEvent = z.discriminatedUnion('event_type', [DetectionRateEvent, ShownHeightEvent]).openapi('SystemMetricsEvent');
export type SystemMetricsEvent = z.output<typeof SystemMetricsEvent>;
