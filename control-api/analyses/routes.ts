import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import type { ApiEnv } from '../api-env.ts';
import type { AuditService } from '../audit/service.ts';
import type { Guard } from '../guard.ts';
import { PageQuery, decodeCursor, page, pageOf } from '../paging.ts';
import { CameraId, bearer, body, bodyRefused, conflict, guarded, invalid, json, missing, timestamp, timestampOrNull, tooMany, unprocessable } from '../schemas.ts';
import { Analysis, NewAnalysis, STATES } from './schemas.ts';
import type { AnalysisRow, AnalysisService } from './service.ts';

const CameraParam = z.object({ camera: CameraId.openapi({ param: { name: 'camera', in: 'path' } }) });
const AnalysisParam = z.object({ id: z.string().min(1).max(64).openapi({ param: { name: 'id', in: 'path' } }) });
const ListQuery = z.object({ camera: CameraId.optional(), state: z.enum(STATES).optional(), ...PageQuery });

const view = (row: AnalysisRow): z.output<typeof Analysis> => ({
  id: row.id, camera: row.camera_id, from: timestamp(row.from_ms), to: timestamp(row.to_ms), fps: row.fps, detectors: JSON.parse(row.detectors) as z.output<typeof Analysis>['detectors'], state: row.state,
  progress: row.state === 'done' ? 1 : Math.round(((row.position_ms - row.from_ms) / (row.to_ms - row.from_ms)) * 1000) / 1000, pictures: row.pictures, undecodable: row.undecodable,
  missing_segments: row.missing_segments, detections: row.detections,
  defect_classes: JSON.parse(row.defect_classes) as string[], defect_pictures: row.defect_pictures, defect_count: row.defect_count, quality_score: row.quality_score, error: row.error, created_at: timestamp(row.created_at), created_by: row.created_by, started_at: timestampOrNull(row.started_at), finished_at: timestampOrNull(row.finished_at),
});

export const analysisRoutes = (analyses: AnalysisService, audit: AuditService, guard: Guard) => {
  const common = { tags: ['recordings'], security: bearer };
  const see = { ...common, middleware: guard.require('detection:view') };
  const manage = { ...common, middleware: guard.require('recording:manage') };
  const create = createRoute({
    ...manage, method: 'post', path: '/recordings/{camera}/analyses', summary: 'Run detectors on a recorded range, faster than it was recorded where the machine can.',
    request: { params: CameraParam, body: body(NewAnalysis) },
    responses: { 202: json(Analysis, 'It waits for its turn.'), ...invalid, ...guarded, ...missing, ...unprocessable, ...bodyRefused, ...tooMany },
  });
  const list = createRoute({
    ...see, method: 'get', path: '/analyses', summary: 'Analyses, newest first.', request: { query: ListQuery }, responses: { 200: json(pageOf(Analysis), 'A page.'), ...invalid, ...guarded },
  });
  const get = createRoute({
    ...see, method: 'get', path: '/analyses/{id}', summary: 'How far an analysis is.', request: { params: AnalysisParam }, responses: { 200: json(Analysis, 'The analysis.'), ...invalid, ...guarded, ...missing },
  });
  const cancel = createRoute({
    ...manage, method: 'delete', path: '/analyses/{id}', summary: 'End an analysis; what it has found stays.', request: { params: AnalysisParam },
    responses: { 204: { description: 'It has ended.' }, ...invalid, ...guarded, ...missing, ...conflict },
  });
  return new OpenAPIHono<ApiEnv>()
    .openapi(create, async (c) => {
      const { camera } = c.req.valid('param');
      const wanted = c.req.valid('json');
      const { username } = c.get('principal');
      const row = await analyses.create(camera, wanted, username);
      audit.record({ principal: username, action: 'analysis:create', target: camera, detail: { id: row.id, from: timestamp(row.from_ms), to: timestamp(row.to_ms) } });
      c.header('location', `/v1/analyses/${row.id}`);
      return c.json(view(row), 202);
    })
    .openapi(list, async (c) => {
      const { camera, state, limit, cursor } = c.req.valid('query');
      const rows = await analyses.list({ camera, state }, decodeCursor(cursor, z.tuple([z.number(), z.string()])), limit + 1);
      return c.json(page(rows, limit, view, (row) => [row.created_at, row.id]), 200);
    })
    .openapi(get, async (c) => c.json(view(await analyses.get(c.req.valid('param').id)), 200))
    .openapi(cancel, async (c) => {
      const { id } = c.req.valid('param');
      await analyses.cancel(id);
      audit.record({ principal: c.get('principal').username, action: 'analysis:cancel', target: id });
      return c.body(null, 204);
    });
};
