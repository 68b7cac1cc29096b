/** Schemas that several resources share; the OpenAPI document is made from the same objects. */
import { z } from '@hono/zod-openapi';
import { CAMERA_ID } from '../core/frame-ref.ts';

export const CameraId = z.string().regex(CAMERA_ID, 'must match [a-z0-9][a-z0-9-]{0,62}').openapi({ example: 'line-1' });

export const CameraParams = z.object({ id: CameraId.openapi({ param: { name: 'id', in: 'path' } }) });

/** RFC 3339 with an offset in; Unix milliseconds inside. */
export const Instant = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text)).openapi({ type: 'string', format: 'date-time', example: '2026-11-22T11:45:00.000Z' });

/** RFC 3339 with milliseconds, UTC (contract 0.5). */
export const Timestamp = z.string().openapi({ format: 'date-time', example: '2026-11-22T11:45:00.000Z' });

/** Unix milliseconds as the API writes them. */
export const timestamp = (ms: number): string => new Date(ms).toISOString();
export const timestampOrNull = (ms: number | null): string | null => (ms === null ? null : timestamp(ms));

export const ProblemSchema = z
  .looseObject({
    type: z.string(), title: z.string(), status: z.int(), detail: z.string(), instance: z.string(), code: z.string(), trace_id: z.string(),
    validation_errors: z.array(z.object({ field: z.string(), message: z.string(), value: z.unknown() })).optional(),
    retry_after: z.number().optional(),
    error: z.object({ code: z.string(), message: z.string(), details: z.unknown(), timestamp: Timestamp }),
  })
  .openapi('Problem');

const problem = (description: string) => ({ description, content: { 'application/problem+json': { schema: ProblemSchema } } });

/** Responses of routes behind the guard. */
export const guarded = { 401: problem('No valid access token.'), 403: problem('The role may not do this.') };
export const invalid = { 400: problem('Bad syntax or type; `validation_errors` tells what.') };
export const missing = { 404: problem('There is no such thing.') };
export const conflict = { 409: problem('It exists already, or its state does not allow this.') };
export const unprocessable = { 422: problem('Understood, but not something this server does.') };
export const tooMany = { 429: problem('Too many attempts; `Retry-After` tells when to try again.') };
export const bodyRefused = { 413: problem('The body is too large.'), 415: problem('The body is not application/json.') };
export const unavailable = { 503: problem('Not now; `Retry-After` tells when to try again.') };

/** A JSON answer. */
export const json = <T extends z.ZodType>(schema: T, description: string) => ({ description, content: { 'application/json': { schema } } });
/** A JSON body that must be there. */
export const body = <T extends z.ZodType>(schema: T) => ({ required: true, content: { 'application/json': { schema } } });
export const bearer = [{ bearer: [] }];
