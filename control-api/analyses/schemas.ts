/** The JSON of analyses, strict in what it takes. */
import { z } from '@hono/zod-openapi';
import { DetectorReference } from '../cameras/service.ts';
import { CameraId, Instant, Timestamp } from '../schemas.ts';

export const STATES = ['queued', 'running', 'done', 'failed', 'cancelled'] as const;

export const NewAnalysis = z
  .strictObject({
    from: Instant, to: Instant, fps: z.number().positive().max(120).optional().describe('Pictures a second of media time; `inference.default_fps` by default. At the rate of the camera or above: every picture.'),
    detectors: z.array(DetectorReference).min(1).max(16).prefault(['detect']),
    defect_classes: z.array(z.string().min(1).max(128).regex(/^[^\p{Cc}\p{Cs}]*$/u, 'must have no control characters')).max(100).optional().describe('Class names that count as defects, for `defect_count` and `quality_score`; `inference.defect_classes` by default.'),
  })
  .refine(({ from, to }) => from < to, { path: ['to'], error: 'must be after from' })
  .openapi('NewAnalysis');
export type NewAnalysis = z.output<typeof NewAnalysis>;

export const Analysis = z
  .object({
    id: z.string(), camera: CameraId, from: Timestamp, to: Timestamp, fps: z.number(),
    detectors: z.array(z.object({ id: z.string(), model: z.string(), confidence: z.number().nullable() })), state: z.enum(STATES),
    progress: z.number().describe('0..1, of the time asked for.'), pictures: z.int().describe('Looked at.'), undecodable: z.int().describe('Pictures that could not be decoded.'),
    missing_segments: z.int().describe('Their files had been deleted meanwhile.'), detections: z.int(),
    defect_classes: z.array(z.string()), defect_pictures: z.int().describe('Pictures in which one of these classes was found.'),
    defect_count: z.int().nullable().describe('When it is done: of each class and unbroken stretch of time the most in one picture, added up; of several models what the one that found most says. Null: no classes were named.'),
    quality_score: z.number().nullable().describe('When it is done: the share of the pictures without a defect, 0..1. Null: no classes were named, or no picture was looked at.'),
    error: z.string().nullable(), created_at: Timestamp, created_by: z.string().nullable(), started_at: Timestamp.nullable(), finished_at: Timestamp.nullable(),
  })
  .openapi('Analysis', { description: 'Detectors run on a range of recordings; `GET /v1/detections?analysis=` has what they found.' });
