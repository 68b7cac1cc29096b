/** The JSON of analyses, strict in what it takes. */
import { z } from '@hono/zod-openapi';
import { DetectorReference } from '../cameras/service.ts';
import { CameraId, Instant, Timestamp } from '../schemas.ts';

export const STATES = ['queued', 'running', 'done', 'failed', 'cancelled'] as const;

export const NewAnalysis = z
  .strictObject({
    from: Instant, to: Instant, fps: z.number().positive().max(120).optional().describe('Pictures a second of media time; `inference.default_fps` by default. At the rate of the camera or above: every picture.'),
    detectors: z.array(DetectorReference).min(1).max(16).prefault(['detect']),
  })
  .refine(({ from, to }) => from < to, { path: ['to'], error: 'must be after from' })
  .openapi('NewAnalysis');
export type NewAnalysis = z.output<typeof NewAnalysis>;

export const Analysis = z
  .object({
    id: z.string(), camera: CameraId, from: Timestamp, to: Timestamp, fps: z.number(),
    detectors: z.array(z.object({ id: z.string(), model: z.string(), confidence: z.number().nullable() })), state: z.enum(STATES),
    progress: z.number().describe('0..1, of the time asked for.'), pictures: z.int().describe('Looked at.'), undecodable: z.int().describe('Pictures that could not be decoded.'),
    missing_segments: z.int().describe('Their files had been deleted meanwhile.'), detections: z.int(), error: z.string().nullable(), created_at: Timestamp, created_by: z.string().nullable(), finished_at: Timestamp.nullable(),
  })
  .openapi('Analysis', { description: 'Detectors run on a range of recordings; `GET /v1/detections?analysis=` has what they found.' });
