import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import type { Config } from '../../config/schema.ts';
import { MediaError } from '../../core/errors.ts';
import type { ApiEnv } from '../api-env.ts';
import type { AuditService } from '../audit/service.ts';
import { settingsOf, toDetectors } from '../cameras/service.ts';
import type { CameraService } from '../cameras/service.ts';
import type { Guard } from '../guard.ts';
import { bearer, bodyRefused, conflict, guarded, invalid, json, missing, tooMany, unavailable, unprocessable } from '../schemas.ts';
import type { ModelLibrary } from './model-library.ts';

const TakenModel = z
  .object({ name: z.string(), digest: z.string().describe('SHA-256 of the file, hex. The worker uses it once `GET /v1/models` tells this digest, within 10 s.'), bytes: z.int(), replaced: z.string().nullable().describe('Digest of what had the name before.') })
  .openapi('UploadedModel');
const ModelParam = z.object({ name: z.string().min(1).openapi({ param: { name: 'name', in: 'path' }, example: 'bolts-2' }) });
const ifMatch = 'With quotes: the `digest` of what is replaced or deleted, so that nobody\'s change is lost unseen; `*`: whatever it is. Of a model on an inference server `*` or nothing.';
const Headers = z.object({ 'if-match': z.string().optional().describe(ifMatch) });
const binary = { schema: z.string().openapi({ format: 'binary' }) };
const changed = { 412: { description: 'What is there is not what `If-Match` names; `digest` tells what it is.' } };

const IF_MATCH = /^\s*(?:(\*)|"([0-9a-f]{64})")\s*$/i;
const parse = (header: string | undefined): string | null => {
  if (header === undefined) return null;
  const [, any, digest] = IF_MATCH.exec(header) ?? [];
  if (any === undefined && digest === undefined) throw new MediaError('INVALID_ARGUMENT', 'If-Match must be a SHA-256 in quotes, or *.', { reason: 'IF_MATCH_INVALID' });
  return any ?? digest?.toLowerCase() ?? null;
};

export interface ModelLibraryRoutesOptions {
  readonly library: ModelLibrary;
  readonly cameras: CameraService;
  readonly inference: Config['inference'];
  readonly audit: AuditService;
  readonly guard: Guard;
}

export const modelLibraryRoutes = ({ library, cameras, inference, audit, guard }: ModelLibraryRoutesOptions) => {
  const common = { tags: ['models'], security: bearer, middleware: guard.require('model:manage') };
  const put = createRoute({
    ...common, method: 'put', path: '/models/{name}', summary: 'Add a model, or replace one: an .onnx file, tried before it takes any place.',
    request: { params: ModelParam, headers: Headers, body: { required: true, content: { 'application/octet-stream': binary } } },
    responses: {
      201: json(TakenModel, 'It is there.'), 200: json(TakenModel, 'It has taken the place of what had its name, and of no picture: that goes on until this one is warm.'),
      ...invalid, ...guarded, ...conflict, ...changed, ...bodyRefused, ...unprocessable, ...tooMany, ...unavailable,
    },
  });
  const remove = createRoute({
    ...common, method: 'delete', path: '/models/{name}', summary: 'Delete a model\'s file and its sidecars. A model that comes with the product stays, or is back when the one in its place is deleted.',
    request: { params: ModelParam, headers: Headers }, responses: { 204: { description: 'It is gone.' }, ...invalid, ...guarded, ...missing, ...conflict, ...changed },
  });

  /** Throws FAILED_PRECONDITION when somebody would be left without a detector. */
  const checkUnused = async (name: string): Promise<void> => {
    if (await library.isBundled(name)) return; // that one takes over
    const users = (await cameras.all())
      .filter((row) => toDetectors(settingsOf(row).pipelines, inference).some(({ model, light = [] }) => model === name || light.includes(name)))
      .map(({ id }) => id);
    if (users.length > 0) throw new MediaError('FAILED_PRECONDITION', `The model ${name} is used by ${users.slice(0, 10).join(', ')}${users.length > 10 ? ` and ${String(users.length - 10)} more cameras` : ''}. Take it out of the pipelines there first.`, { reason: 'MODEL_IN_USE', context: { model: name, cameras: users.length } });
    if (name === inference.default_model) throw new MediaError('FAILED_PRECONDITION', `The model ${name} is the default detector (inference.default_model).`, { reason: 'MODEL_IN_USE', context: { model: name } });
  };

  return new OpenAPIHono<ApiEnv>()
    .openapi(put, async (c) => {
      const { name } = c.req.valid('param');
      const replaces = parse(c.req.header('if-match'));
      const type = (c.req.header('content-type') ?? 'application/octet-stream').split(';', 1)[0]?.trim().toLowerCase();
      if (type !== 'application/octet-stream') throw new MediaError('UNSUPPORTED_MEDIA_TYPE', 'The body must be the .onnx file itself, application/octet-stream, and no form: curl -T model.onnx -H "content-type: application/octet-stream".', { reason: 'UNSUPPORTED_MEDIA_TYPE' });
      const { digest, bytes, replaced } = await library.put({ name, replaces, request: c.env.incoming });
      audit.record({ principal: c.get('principal').username, action: 'model:upload', target: name, detail: { digest, bytes, replaced } });
      return c.json({ name, digest, bytes, replaced }, replaced === null ? 201 : 200);
    })
    .openapi(remove, async (c) => {
      const { name } = c.req.valid('param');
      const digest = parse(c.req.header('if-match'));
      await library.remove(name, digest, () => checkUnused(name));
      audit.record({ principal: c.get('principal').username, action: 'model:delete', target: name, detail: { digest } });
      return c.body(null, 204);
    });
};
