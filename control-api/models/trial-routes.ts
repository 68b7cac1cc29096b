import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import type { ApiEnv } from '../api-env.ts';
import type { Guard } from '../guard.ts';
import { bearer, bodyRefused, conflict, guarded, invalid, json, missing, tooMany, unavailable, unprocessable } from '../schemas.ts';
import type { ModelTrials, Trial as TrialOutcome } from './trials.ts';

const Milliseconds = z.number().min(0);
const Trial = z
  .object({
    model: z.string(), model_digest: z.string().describe('Of the model that looked: `digest` of `GET /v1/models`.'),
    width: z.int(), height: z.int().describe('Pixels of the picture as it is stored: an orientation in its metadata turns nothing.'),
    detections: z.array(z.object({
      class_name: z.string(), class_id: z.int(), confidence: z.number(), bbox: z.object({ x: z.number(), y: z.number(), width: z.number(), height: z.number() }).describe('In pixels of the picture.'),
    })).describe('The most confident first, 300 at most.'),
    times_ms: z.object({
      waiting: Milliseconds.describe('From its receipt until its decoding began.'), decode: Milliseconds, resize: Milliseconds.describe('To the model\'s input.'), queue: Milliseconds.describe('For a worker, and in its queue.'),
      model: Milliseconds.describe('In the model alone.'), total: Milliseconds.describe('From its receipt to this answer.'),
    }),
  })
  .openapi('ModelTrial', { description: 'What a model sees in one picture.' });

const binary = { schema: z.string().openapi({ format: 'binary' }) };
const ModelParam = z.object({ name: z.string().min(1).openapi({ param: { name: 'name', in: 'path' }, example: 'nanodet-g-416.int8.u8' }) });
const TrialQuery = z.object({ confidence: z.coerce.number().min(0).max(1).optional().describe('Least confidence of a detection; the model\'s own default unless given.') });

const hundredth = (ms: number): number => Math.max(0, Math.round(ms * 100) / 100);

const view = (model: string, { width, height, detections, modelDigest, times, totalMs }: TrialOutcome): z.output<typeof Trial> => ({
  model, model_digest: modelDigest, width, height,
  detections: detections.map(({ className, classId, confidence, bbox }) => ({ class_name: className, class_id: classId, confidence, bbox })),
  times_ms: {
    waiting: hundredth(times.waitingMs), decode: hundredth(times.decodeMs), resize: hundredth(times.resizeMs), queue: hundredth(times.queueMs), model: hundredth(times.inferenceMs), total: hundredth(totalMs),
  },
});

export const modelTrialRoutes = (trials: ModelTrials, guard: Guard) => {
  const attempt = createRoute({
    method: 'post', path: '/models/{name}/try', tags: ['models'], summary: 'What a model finds in a picture of one\'s own: the body is the picture, JPEG, PNG or WebP.', security: bearer, middleware: guard.require('pipeline:execute'),
    request: { params: ModelParam, query: TrialQuery, body: { required: true, content: { 'image/jpeg': binary, 'image/png': binary, 'image/webp': binary } } },
    responses: {
      200: json(Trial, 'What it found.'), ...invalid, ...guarded, ...missing, ...conflict, ...bodyRefused, ...unprocessable, ...tooMany, ...unavailable,
      504: { description: 'The worker did not answer within `inference.deadline_ms`.' },
    },
  });
  return new OpenAPIHono<ApiEnv>().openapi(attempt, async (c) => {
    const { name } = c.req.valid('param');
    const { confidence = null } = c.req.valid('query');
    return c.json(view(name, await trials.look({ model: name, confidence, request: c.env.incoming, user: c.get('principal').id })), 200);
  });
};
