import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import type { ApiEnv } from '../api-env.ts';
import type { AuditService } from '../audit/service.ts';
import type { Guard } from '../guard.ts';
import { PageQuery, decodeCursor, page, pageOf } from '../paging.ts';
import { CameraParams, bearer, body, bodyRefused, guarded, invalid, json, missing, unavailable } from '../schemas.ts';
import type { EdgeStatsClient } from './edge-stats.ts';
import { CameraKey, CameraSession, CreatedKey, NewKey } from './schemas.ts';
import type { CameraService } from './service.ts';
import { keyView, sessionView } from './view.ts';

const KeyParams = CameraParams.extend({ key: z.string().max(64).openapi({ param: { name: 'key', in: 'path' } }) });

/** What hangs below a camera: keys, sessions, live figures. */
export const cameraKeyRoutes = (options: { readonly cameras: CameraService; readonly stats: EdgeStatsClient; readonly audit: AuditService; readonly guard: Guard }) => {
  const { cameras, audit, guard } = options;
  const view = { tags: ['cameras'], security: bearer, middleware: guard.require('stream:view') };
  const manage = { tags: ['cameras'], security: bearer, middleware: guard.require('camera:manage') };
  const list = createRoute({
    ...manage, method: 'get', path: '/cameras/{id}/keys', summary: 'Keys of a camera, oldest first, without their secrets.', request: { params: CameraParams, query: z.object(PageQuery) },
    responses: { 200: json(pageOf(CameraKey), 'A page.'), ...invalid, ...guarded, ...missing },
  });
  const create = createRoute({
    ...manage, method: 'post', path: '/cameras/{id}/keys', summary: 'A key that publishes or plays this camera only, shown this once.', request: { params: CameraParams, body: body(NewKey) },
    responses: { 201: json(CreatedKey, 'The key.'), ...invalid, ...guarded, ...missing, ...bodyRefused },
  });
  const revoke = createRoute({
    ...manage, method: 'delete', path: '/cameras/{id}/keys/{key}', summary: 'Revoke a key, on every door within a second.', request: { params: KeyParams },
    responses: { 204: { description: 'Revoked.' }, ...invalid, ...guarded, ...missing },
  });
  const sessions = createRoute({
    ...view, method: 'get', path: '/cameras/{id}/sessions', summary: 'Sessions of a camera, newest first.', request: { params: CameraParams, query: z.object(PageQuery) },
    responses: { 200: json(pageOf(CameraSession), 'A page.'), ...invalid, ...guarded, ...missing },
  });
  const stats = createRoute({
    ...view, method: 'get', path: '/cameras/{id}/stats', summary: "The edge's live figures: bitrate, loss, frame rate, viewers.", request: { params: CameraParams },
    responses: { 200: json(z.record(z.string(), z.unknown()), 'As the edge tells it.'), 304: { description: 'Unchanged.' }, ...invalid, ...guarded, ...missing, ...unavailable },
  });
  return new OpenAPIHono<ApiEnv>()
    .openapi(list, async (c) => {
      const { limit, cursor } = c.req.valid('query');
      const rows = await cameras.keys(c.req.valid('param').id, decodeCursor(cursor, z.tuple([z.number(), z.string()])), limit + 1);
      return c.json(page(rows, limit, keyView, (row) => [row.created_at, row.id]), 200);
    })
    .openapi(create, async (c) => {
      const { id } = c.req.valid('param');
      const { kind } = c.req.valid('json');
      const { row, secret } = await cameras.addKey(id, kind);
      audit.record({ principal: c.get('principal').username, action: 'camera-key:create', target: id, detail: { kind, key_id: row.id } });
      c.header('cache-control', 'no-store');
      c.header('location', `/v1/cameras/${id}/keys/${row.id}`);
      return c.json({ ...keyView(row), key: secret }, 201);
    })
    .openapi(revoke, async (c) => {
      const { id, key } = c.req.valid('param');
      await cameras.revokeKey(id, key);
      audit.record({ principal: c.get('principal').username, action: 'camera-key:revoke', target: id, detail: { key_id: key } });
      return c.body(null, 204);
    })
    .openapi(sessions, async (c) => {
      const { limit, cursor } = c.req.valid('query');
      const rows = await cameras.sessions(c.req.valid('param').id, decodeCursor(cursor, z.tuple([z.number(), z.string()])), limit + 1);
      return c.json(page(rows, limit, sessionView, (row) => [row.started_at, row.id]), 200);
    })
    .openapi(stats, async (c) => {
      const { id } = c.req.valid('param');
      await cameras.get(id);
      return Response.json(await options.stats.get(id, c.req.header('authorization') ?? ''));
    });
};
