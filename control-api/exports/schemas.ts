/** The JSON of exports, strict in what it takes. */
import { z } from '@hono/zod-openapi';
import { CameraId, Instant, Timestamp } from '../schemas.ts';

export const STATES = ['queued', 'running', 'done', 'failed', 'cancelled'] as const;

export const NewExport = z
  .strictObject({ from: Instant, to: Instant, analysis: z.string().min(1).max(64).optional().describe('Draw what this analysis found; by default what was detected live.') })
  .refine(({ from, to }) => from < to, { path: ['to'], error: 'must be after from' })
  .openapi('NewExport');
export type NewExport = z.output<typeof NewExport>;

export const Export = z
  .object({
    id: z.string(), camera: CameraId, from: Timestamp, to: Timestamp, analysis: z.string().nullable(), state: z.enum(STATES), progress: z.number().describe('0..1, of the time asked for.'),
    pictures: z.int().describe('In the file.'), undecodable: z.int().describe('Pictures that could not be decoded.'), missing_segments: z.int().describe('Their files had been deleted meanwhile.'),
    boxes: z.int().describe('Drawn.'), bytes: z.int().nullable().describe('Of the file, once it is done.'), error: z.string().nullable(), created_at: Timestamp, created_by: z.string().nullable(),
    finished_at: Timestamp.nullable(), expires_at: Timestamp.nullable().describe('From then on it may be forgotten, with its file.'),
  })
  .openapi('Export', { description: 'A range of recordings as one MP4 with the boxes of what was detected drawn into its pictures; `GET /v1/exports/{id}/file` has it.' });
