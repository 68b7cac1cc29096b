import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import type { ModelInfo } from '../../inference/port.ts';
import type { ApiEnv } from '../api-env.ts';
import type { Guard } from '../guard.ts';
import { bearer, guarded, json, unavailable } from '../schemas.ts';
import type { ModelLibrary } from './model-library.ts';

const Model = z
  .object({
    name: z.string().describe('What a camera\'s `pipelines` call it: the file\'s name without `.onnx` or `.kserve.json`.'),
    backend: z.enum(['onnx', 'kserve']).describe('Who runs it: `onnx`, ONNX Runtime in the worker; `kserve`, an inference server (NVIDIA Triton) that the file names.'),
    state: z.enum(['loading', 'ready', 'failed']),
    failure: z.string().nullable().describe('Why the file cannot be used, or its server; of a model that is `ready`: why its successor cannot.'),
    added: z.boolean().describe('It lies in this machine\'s `inference.models_dir`, and may be deleted; false: it comes with the product.'),
    digest: z.string().nullable().describe('SHA-256, hex; null until it is ready. Of the file; with `kserve` of the file and of what the server says of the model.'),
    input: z.object({ width: z.int(), height: z.int() }).nullable().describe('Pixels; null until it is ready.'),
    labels: z.array(z.string()).describe('Names of its classes by class id.'),
    batch: z.object({
      pictures: z.int().describe('At most; 1: one by one.'),
      reason: z.string().describe('What was measured when it was loaded, or what the model takes.'),
    }).nullable().describe('How many pictures, of whichever cameras, it looks at in one run; null until it is ready.'),
    provider: z.object({
      name: z.string().describe('`cpu`, `cuda`, …: an execution provider of ONNX Runtime.'),
      reason: z.string().describe('What was measured, and what is wrong with others (`worker.execution_providers`).'),
    }).nullable().describe('What the worker runs it on; null until it is ready, where a server runs it, and of workers that do not say.'),
    default_confidence: z.number().nullable().describe('A detection below this is not reported unless the detector says otherwise.'),
  })
  .openapi('Model');

/** A float32 comes from the worker: 0.35 is 0.3499999940395355 there. */
const asWritten = (value: number): number => Math.round(value * 1e4) / 1e4;

const view = (info: ModelInfo, added: boolean): z.output<typeof Model> => {
  const loaded = info.state === 'ready';
  return {
    name: info.name, backend: info.backend, state: info.state, failure: info.failure, added, digest: loaded ? info.digest : null, input: loaded ? { width: info.inputWidth, height: info.inputHeight } : null,
    batch: loaded ? { pictures: info.batch.pictures, reason: info.batch.why } : null,
    provider: loaded && info.provider !== null ? { name: info.provider.name, reason: info.provider.why } : null,
    labels: [...info.labels], default_confidence: loaded ? asWritten(info.defaultConfidence) : null,
  };
};

export interface ModelRoutesOptions {
  /** The worker's models; rejects with UNAVAILABLE while there is no worker. */
  readonly list: () => Promise<readonly ModelInfo[]>;
  readonly library: Pick<ModelLibrary, 'names'>;
  /** Behind the detector `detect`, and what that is lowered to. */
  readonly ofDefault: { readonly model: string; readonly light: readonly string[] };
  readonly maxBytes: number;
  readonly guard: Guard;
}

export const modelRoutes = ({ list, library, ofDefault, maxBytes, guard }: ModelRoutesOptions) => {
  const all = createRoute({
    method: 'get', path: '/models', tags: ['models'], summary: 'The models of the worker, those that cannot be used with the reason.', security: bearer, middleware: guard.require('pipeline:view'),
    responses: {
      200: json(z.object({ items: z.array(Model), default_model: z.string().describe('The one behind the detector `detect`.'), default_light: z.array(z.string()).describe('The lighter ones it is lowered to under overload, one after the other.'), max_bytes: z.int().describe('A file may have so many.') }), 'All of them, by name.'),
      ...guarded, ...unavailable,
    },
  });
  return new OpenAPIHono<ApiEnv>().openapi(all, async (c) => {
    const [models, added] = await Promise.all([list(), library.names()]);
    const items = models.toSorted((a, b) => (a.name < b.name ? -1 : 1)).map((model) => view(model, added.has(model.name)));
    return c.json({ items, default_model: ofDefault.model, default_light: [...ofDefault.light], max_bytes: maxBytes }, 200);
  });
};
