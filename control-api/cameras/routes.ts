import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { Config } from '../../config/schema.ts';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { ApiEnv } from '../api-env.ts';
import type { AuditService } from '../audit/service.ts';
import { answerTagged, tagged } from '../etag.ts';
import type { Guard } from '../guard.ts';
import { PageQuery, decodeCursor, page, pageOf } from '../paging.ts';
import { ValidationError } from '../problem.ts';
import { CameraId, CameraParams, bearer, body, bodyRefused, conflict, guarded, invalid, json, missing, unprocessable } from '../schemas.ts';
import type { EdgeStats, EdgeStatsClient } from './edge-stats.ts';
import { ListCache } from './list-cache.ts';
import { Camera, CameraPatch, CreatedCamera, NewCamera, ReplaceCamera } from './schemas.ts';
import type { CameraService } from './service.ts';
import { originOf } from './urls.ts';
import type { MediaPorts } from './urls.ts';
import { cameraView } from './view.ts';
import type { UrlContext } from './view.ts';

export interface CameraRoutesOptions {
  readonly cameras: CameraService;
  readonly stats: EdgeStatsClient;
  readonly audit: AuditService;
  readonly guard: Guard;
  readonly clock: Clock;
  readonly config: Config;
  readonly ports: () => MediaPorts;
}

const ListQuery = z.object({ ...PageQuery, include: z.literal('stats').optional().describe("Also asks the edge for each camera's figures.") });

export const cameraRoutes = (options: CameraRoutesOptions) => {
  const { cameras, audit, guard } = options;
  const cache = new ListCache(options.clock);
  cameras.onChange(() => { cache.clear(); return Promise.resolve(); });

  const urls = (c: Context<ApiEnv>): UrlContext => {
    const socket = c.env.incoming.socket;
    const origin = originOf(options.config, { host: c.req.header('host'), secure: 'encrypted' in socket, localPort: socket.localPort ?? 0 });
    return { origin, ports: options.ports(), behindProxy: options.config.public_url !== undefined };
  };
  /** Null when the edge cannot tell: the rest of the answer is still right. */
  const statsOf = (c: Context<ApiEnv>, id: string): Promise<EdgeStats | null> => options.stats.get(id, c.req.header('authorization') ?? '').catch(() => null);
  const viewOf = async (c: Context<ApiEnv>, id: string, withStats: boolean) => {
    const row = await cameras.get(id);
    const [session] = await cameras.newestSessions([id]);
    const live = session !== undefined && session.phase !== 'ended';
    return cameraView(row, session, urls(c), withStats ? (live ? await statsOf(c, id) : null) : undefined);
  };

  const view = { tags: ['cameras'], security: bearer, middleware: guard.require('stream:view') };
  const manage = { tags: ['cameras'], security: bearer, middleware: guard.require('camera:manage') };
  const list = createRoute({
    ...view, method: 'get', path: '/cameras', summary: 'Cameras, by id, with their newest session.', request: { query: ListQuery },
    responses: { 200: json(pageOf(Camera), 'A page.'), 304: { description: 'Unchanged.' }, ...invalid, ...guarded },
  });
  const create = createRoute({
    ...manage, method: 'post', path: '/cameras', summary: 'Add a camera. The answer shows its publish key, this once.', request: { body: body(NewCamera) },
    responses: { 201: json(CreatedCamera, 'The camera.'), ...invalid, ...guarded, ...conflict, ...unprocessable, ...bodyRefused },
  });
  const get = createRoute({
    ...view, method: 'get', path: '/cameras/{id}', summary: 'One camera, with its newest session and live figures.', request: { params: CameraParams },
    responses: { 200: json(Camera, 'The camera.'), 304: { description: 'Unchanged.' }, ...invalid, ...guarded, ...missing },
  });
  const replace = createRoute({
    ...manage, method: 'put', path: '/cameras/{id}', summary: 'Set all of a camera; what is left out gets its default.', request: { params: CameraParams, body: body(ReplaceCamera) },
    responses: { 200: json(Camera, 'The camera.'), ...invalid, ...guarded, ...missing, ...unprocessable, ...bodyRefused },
  });
  const patch = createRoute({
    ...manage, method: 'patch', path: '/cameras/{id}', summary: 'Set what is named.', request: { params: CameraParams, body: body(CameraPatch) },
    responses: { 200: json(Camera, 'The camera.'), ...invalid, ...guarded, ...missing, ...unprocessable, ...bodyRefused },
  });
  const remove = createRoute({
    ...manage, method: 'delete', path: '/cameras/{id}', summary: 'Remove a camera: its session ends and its keys are revoked; its recordings stay until they expire.', request: { params: CameraParams },
    responses: { 204: { description: 'Removed.' }, ...invalid, ...guarded, ...missing },
  });

  return new OpenAPIHono<ApiEnv>()
    .openapi(list, async (c) => {
      const { limit, cursor, include } = c.req.valid('query');
      const context = urls(c);
      const key = JSON.stringify([limit, cursor, include, context]);
      const ready = include === undefined ? cache.get(key) : undefined;
      if (ready !== undefined) return answerTagged(c.req.header('if-none-match'), ready);
      const make = async () => {
        const position = decodeCursor(cursor, z.tuple([CameraId]));
        const rows = await cameras.list(position?.[0], limit + 1);
        const sessions = new Map((await cameras.newestSessions(rows.map((row) => row.id))).map((session) => [session.camera_id, session]));
        const live = include === undefined ? [] : [...sessions.values()].filter((session) => session.phase !== 'ended');
        const stats = new Map(await Promise.all(live.map(async (session) => [session.camera_id, await statsOf(c, session.camera_id)] as const)));
        return page(rows, limit, (row) => cameraView(row, sessions.get(row.id), context, include === undefined ? undefined : (stats.get(row.id) ?? null)), (row) => [row.id]);
      };
      return answerTagged(c.req.header('if-none-match'), include === undefined ? await cache.make(key, make) : tagged(await make()));
    })
    .openapi(create, async (c) => {
      const { row, secret } = await cameras.create(c.req.valid('json'));
      audit.record({ principal: c.get('principal').username, action: 'camera:create', target: row.id });
      c.header('location', `/v1/cameras/${row.id}`);
      c.header('cache-control', 'no-store');
      return c.json({ ...cameraView(row, undefined, urls(c)), publish_key: secret }, 201);
    })
    .openapi(get, async (c) => answerTagged(c.req.header('if-none-match'), tagged(await viewOf(c, c.req.valid('param').id, true))))
    .openapi(replace, async (c) => {
      const { id } = c.req.valid('param');
      const { id: named, ...settings } = c.req.valid('json');
      if (named !== undefined && named !== id) throw new ValidationError([{ field: 'id', message: 'is not the id in the path; ids do not change', value: named }]);
      await cameras.replace(id, settings);
      audit.record({ principal: c.get('principal').username, action: 'camera:replace', target: id, detail: changed(settings) });
      return c.json(await viewOf(c, id, false), 200);
    })
    .openapi(patch, async (c) => {
      const { id } = c.req.valid('param');
      const change = c.req.valid('json');
      if (Object.keys(change).length === 0) throw new MediaError('INVALID_ARGUMENT', 'The patch names nothing to change.', { reason: 'EMPTY_PATCH' });
      await cameras.patch(id, change);
      audit.record({ principal: c.get('principal').username, action: 'camera:patch', target: id, detail: changed(change) });
      return c.json(await viewOf(c, id, false), 200);
    })
    .openapi(remove, async (c) => {
      const { id } = c.req.valid('param');
      await cameras.remove(id);
      audit.record({ principal: c.get('principal').username, action: 'camera:remove', target: id });
      return c.body(null, 204);
    });
};

/** What the audit log keeps of a change; a source's URL may hold a password. */
const changed = (change: CameraPatch): Readonly<Record<string, unknown>> => {
  const { source, ...rest } = change;
  return { ...rest, ...(source === undefined ? {} : { source: source.type }) };
};
