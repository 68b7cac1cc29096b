/** What is told on the topic `video-stream-archive` (SD-51). */
import { z } from '@hono/zod-openapi';
import { CameraId, Timestamp } from '../schemas.ts';

export const VideoStreamArchiveEvent = z
  .object({
    event_type: z.literal('frame_archived'), event_id: z.uuid().describe('The same however often the event is delivered.'), frame_id: z.string(), camera: CameraId, captured_at: Timestamp,
    image: z.object({ key: z.string().describe('Of the JPEG in the object store; the JSON beside it ends in `.json`.'), width: z.int().nullable(), height: z.int().nullable(), bytes: z.int().nullable(), sha256: z.string().nullable() }),
    reason: z.enum(['detected', 'manual']), classes: z.array(z.string()).describe('That chose it.'), timestamp: Timestamp,
  })
  .openapi('VideoStreamArchiveEvent');
export type VideoStreamArchiveEvent = z.output<typeof VideoStreamArchiveEvent>;
