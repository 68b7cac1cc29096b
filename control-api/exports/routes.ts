import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import { MediaError } from '../../core/errors.ts';
import type { Logger } from '../../platform/logging.ts';
import { answerFile } from '../answer-file.ts';
import type { AccessPrincipal, ApiEnv } from '../api-env.ts';
import type { AuditService } from '../audit/service.ts';
import type { Guard } from '../guard.ts';
import { PageQuery, decodeCursor, page, pageOf } from '../paging.ts';
import { may } from '../permissions.ts';
import { KEEP } from '../retention.ts';
import { CameraId, bearer, body, bodyRefused, conflict, guarded, invalid, json, missing, timestamp, timestampOrNull, tooMany, unprocessable } from '../schemas.ts';
import { Export, NewExport, STATES } from './schemas.ts';
import type { ExportRow, ExportService } from './service.ts';

const CameraParam = z.object({ camera: CameraId.openapi({ param: { name: 'camera', in: 'path' } }) });
const ExportParam = z.object({ id: z.string().min(1).max(64).openapi({ param: { name: 'id', in: 'path' } }) });
const ListQuery = z.object({ camera: CameraId.optional(), state: z.enum(STATES).optional(), ...PageQuery });
const FileQuery = z.object({ token: z.string().optional().describe('An access token, for a link that cannot send headers.') });

const view = (row: ExportRow): z.output<typeof Export> => ({
  id: row.id, camera: row.camera_id, from: timestamp(row.from_ms), to: timestamp(row.to_ms), analysis: row.analysis_id, state: row.state, progress: Math.round(row.progress * 1000) / 1000, pictures: row.pictures,
  undecodable: row.undecodable, missing_segments: row.missing_segments, boxes: row.boxes, bytes: row.state === 'done' ? row.bytes : null, error: row.error, created_at: timestamp(row.created_at),
  created_by: row.created_by, finished_at: timestampOrNull(row.finished_at), expires_at: timestampOrNull(row.finished_at === null ? null : row.finished_at + KEEP.endedExportsMs),
});

/** Boxes are detections: who may not see those is not to see them in a file either. */
const mustSeeDetections = (principal: AccessPrincipal): void => {
  if (!may(principal.permissions, 'detection:view')) throw new MediaError('PERMISSION_DENIED', `The role ${principal.role} may not do this: it lacks detection:view.`, { context: { permission: 'detection:view' } });
};

export interface ExportRoutesOptions {
  readonly exports: ExportService;
  readonly audit: AuditService;
  readonly guard: Guard;
  readonly logger: Logger;
}

export const exportRoutes = ({ exports, audit, guard, logger }: ExportRoutesOptions) => {
  const common = { tags: ['recordings'], security: bearer, middleware: guard.require('recording:view') };
  const create = createRoute({
    ...common, method: 'post', path: '/recordings/{camera}/exports', summary: 'Make one MP4 of a range, at most an hour, with the boxes of what was detected drawn into its pictures; without sound.',
    request: { params: CameraParam, body: body(NewExport) },
    responses: { 202: json(Export, 'It waits for its turn.'), ...invalid, ...guarded, ...missing, ...unprocessable, ...bodyRefused, ...tooMany },
  });
  const list = createRoute({
    ...common, method: 'get', path: '/exports', summary: 'Exports, newest first.', request: { query: ListQuery }, responses: { 200: json(pageOf(Export), 'A page.'), ...invalid, ...guarded },
  });
  const get = createRoute({
    ...common, method: 'get', path: '/exports/{id}', summary: 'How far an export is.', request: { params: ExportParam }, responses: { 200: json(Export, 'The export.'), ...invalid, ...guarded, ...missing },
  });
  const file = createRoute({
    ...common, middleware: guard.require('recording:view', { queryToken: true }), method: 'get', path: '/exports/{id}/file', summary: 'The file of an export that is done. Range, If-Range, If-None-Match and HEAD work.',
    request: { params: ExportParam, query: FileQuery },
    responses: {
      200: { description: 'The file.', content: { 'video/mp4': { schema: z.string().openapi({ format: 'binary' }) } } }, 206: { description: 'Some of its bytes.' }, 304: { description: 'Unchanged.' },
      416: { description: 'No such bytes.' }, ...invalid, ...guarded, ...missing, ...conflict,
    },
  });
  const remove = createRoute({
    ...common, method: 'delete', path: '/exports/{id}', summary: 'End an export that is not done; forget one that has ended, with its file. Others’ exports: with recording:manage.', request: { params: ExportParam },
    responses: { 204: { description: 'It has ended, or is gone.' }, ...invalid, ...guarded, ...missing },
  });
  return new OpenAPIHono<ApiEnv>()
    .openapi(create, async (c) => {
      const { camera } = c.req.valid('param');
      const principal = c.get('principal');
      mustSeeDetections(principal);
      const row = await exports.create(camera, c.req.valid('json'), principal.username);
      audit.record({ principal: principal.username, action: 'recording:export', target: camera, detail: { id: row.id, boxes: true, from: timestamp(row.from_ms), to: timestamp(row.to_ms) } });
      c.header('location', `/v1/exports/${row.id}`);
      return c.json(view(row), 202);
    })
    .openapi(list, async (c) => {
      const { camera, state, limit, cursor } = c.req.valid('query');
      const rows = await exports.list({ camera, state }, decodeCursor(cursor, z.tuple([z.number(), z.string()])), limit + 1);
      return c.json(page(rows, limit, view, (row) => [row.created_at, row.id]), 200);
    })
    .openapi(get, async (c) => c.json(view(await exports.get(c.req.valid('param').id)), 200))
    .openapi(file, async (c) => {
      mustSeeDetections(c.get('principal'));
      const { file: found, name } = await exports.file(c.req.valid('param').id);
      const wanted = { head: c.env.incoming.method === 'HEAD', range: c.req.header('range'), ifRange: c.req.header('if-range'), ifNoneMatch: c.req.header('if-none-match') };
      return answerFile(found, wanted, name, c.env.outgoing, logger);
    })
    .openapi(remove, async (c) => {
      const { id } = c.req.valid('param');
      const principal = c.get('principal');
      const row = await exports.get(id);
      if (row.created_by !== principal.username && !may(principal.permissions, 'recording:manage')) throw new MediaError('PERMISSION_DENIED', 'This export is somebody else’s; who may manage recordings can delete it.', { context: { permission: 'recording:manage' } });
      const what = await exports.delete(id);
      audit.record({ principal: principal.username, action: what === 'cancelled' ? 'export:cancel' : 'export:delete', target: id });
      return c.body(null, 204);
    });
};
