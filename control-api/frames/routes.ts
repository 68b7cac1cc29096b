import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import type { Clock } from '../../core/clock.ts';
import type { ApiEnv } from '../api-env.ts';
import type { AuditService } from '../audit/service.ts';
import { matches } from '../etag.ts';
import type { Guard } from '../guard.ts';
import { PageQuery, decodeCursor, page, pageOf } from '../paging.ts';
import { CameraId, CameraParams, Instant, Timestamp, bearer, body, bodyRefused, conflict, guarded, invalid, json, missing, timestamp, timestampOrNull, tooMany, unavailable, unprocessable } from '../schemas.ts';
import type { FrameArchive, FrameRow } from './service.ts';

const Frame = z
  .object({
    id: z.string(), camera: CameraId, captured_at: Timestamp, reason: z.enum(['detected', 'manual']), classes: z.array(z.string()).describe('Those that chose it.'),
    state: z.enum(['waiting', 'made', 'stored', 'failed']), key: z.string().describe('Of the JPEG in the object store; the JSON beside it ends in `.json`.'),
    width: z.number().nullable(), height: z.number().nullable(), bytes: z.number().nullable(), sha256: z.string().nullable(), error: z.string().nullable(),
    created_at: Timestamp, created_by: z.string().nullable(), stored_at: Timestamp.nullable(),
  })
  .openapi('ArchivedFrame', { description: 'A single picture for the archive.' });
const NewFrame = z.strictObject({ at: Instant.optional().describe('The picture shown then; default: 3 s ago, which is recorded by now.') }).openapi('NewArchivedFrame');
const FrameParams = z.object({ id: z.string().min(1).max(64).openapi({ param: { name: 'id', in: 'path' } }) });
const ListQuery = z.object({ camera: CameraId.optional(), from: Instant.optional(), to: Instant.optional(), state: z.enum(['waiting', 'made', 'stored', 'failed']).optional(), ...PageQuery });
const binary = z.string().openapi({ format: 'binary' });
const RECORDED_BY_NOW_MS = 3_000;

const view = (row: FrameRow): z.output<typeof Frame> => ({
  id: row.id, camera: row.camera_id, captured_at: timestamp(row.captured_at_ms), reason: row.reason, classes: JSON.parse(row.classes) as string[], state: row.state, key: row.object_key,
  width: row.width, height: row.height, bytes: row.bytes, sha256: row.sha256, error: row.error, created_at: timestamp(row.created_at), created_by: row.created_by, stored_at: timestampOrNull(row.stored_at),
});

export const frameRoutes = ({ frames, audit, guard, clock }: { readonly frames: FrameArchive; readonly audit: AuditService; readonly guard: Guard; readonly clock: Clock }) => {
  const common = { tags: ['recordings'], security: bearer };
  const see = { ...common, middleware: guard.require('recording:view') };
  const create = createRoute({
    ...common, middleware: guard.require('recording:manage'), method: 'post', path: '/cameras/{id}/frames', summary: 'Put one recorded picture into the archive, as JPEG with a JSON of what was detected in it.',
    request: { params: CameraParams, body: body(NewFrame) }, responses: { 202: json(Frame, 'It is on its way.'), ...invalid, ...guarded, ...missing, ...unprocessable, ...bodyRefused, ...tooMany },
  });
  const list = createRoute({
    ...see, method: 'get', path: '/frames', summary: 'Pictures of the archive, newest first.', request: { query: ListQuery }, responses: { 200: json(pageOf(Frame), 'A page.'), ...invalid, ...guarded },
  });
  const get = createRoute({
    ...see, method: 'get', path: '/frames/{id}', summary: 'One of them.', request: { params: FrameParams }, responses: { 200: json(Frame, 'The picture.'), ...invalid, ...guarded, ...missing },
  });
  const image = createRoute({
    ...common, middleware: guard.require('recording:view', { queryToken: true }), method: 'get', path: '/frames/{id}/image', summary: 'Its JPEG, from the archive.',
    request: { params: FrameParams, query: z.object({ token: z.string().optional().describe('An access token, for an `<img>` element that cannot send headers.') }) },
    responses: { 200: { description: 'The JPEG.', content: { 'image/jpeg': { schema: binary } } }, 304: { description: 'Unchanged.' }, ...invalid, ...guarded, ...missing, ...conflict, ...unavailable },
  });
  return new OpenAPIHono<ApiEnv>()
    .openapi(create, async (c) => {
      const { id: camera } = c.req.valid('param');
      const { username } = c.get('principal');
      const row = await frames.choose(camera, c.req.valid('json').at ?? clock.now() - RECORDED_BY_NOW_MS, username);
      audit.record({ principal: username, action: 'frame:archive', target: camera, detail: { captured_at: timestamp(row.captured_at_ms), key: row.object_key } });
      c.header('location', `/v1/frames/${row.id}`);
      return c.json(view(row), 202);
    })
    .openapi(list, async (c) => {
      const { camera, from, to, state, limit, cursor } = c.req.valid('query');
      const rows = await frames.list({ ...(camera === undefined ? {} : { cameras: [camera] }), from, to, state }, decodeCursor(cursor, z.tuple([z.number(), z.string()])), limit + 1);
      return c.json(page(rows, limit, view, (row) => [row.captured_at_ms, row.id]), 200);
    })
    .openapi(get, async (c) => c.json(view(await frames.get(c.req.valid('param').id)), 200))
    .openapi(image, async (c) => {
      const row = await frames.get(c.req.valid('param').id);
      const etag = `"${row.sha256 ?? ''}"`;
      const headers = { etag, 'cache-control': 'private, no-cache' };
      if (row.state === 'stored' && matches(c.req.header('if-none-match'), etag)) return new Response(null, { status: 304, headers });
      return new Response(new Uint8Array(await frames.bytes(row, c.req.raw.signal)), { headers: { ...headers, 'content-type': 'image/jpeg' } });
    });
};
