/** The rate of a camera's detectors: what bounds it, and what it is now and why [EXT-2]. */
import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { ApiEnv } from '../api-env.ts';
import type { AuditService } from '../audit/service.ts';
import type { Guard } from '../guard.ts';
import { CameraParams, body, bearer, bodyRefused, guarded, invalid, json, missing } from '../schemas.ts';
import type { EdgeStatsClient } from './edge-stats.ts';
import { CameraQosState, CameraRates } from './schemas.ts';
import { settingsOf } from './service.ts';
import type { CameraRow, CameraService } from './service.ts';

/** Of the edge's figures. */
const EdgeFigures = z.object({ detection: z.object({ qos: CameraQosState.shape.now.optional(), shown: CameraQosState.shape.shown.optional() }).nullish() });

export const cameraQosRoutes = (options: { readonly cameras: CameraService; readonly stats: EdgeStatsClient; readonly audit: AuditService; readonly guard: Guard }) => {
  const { cameras, stats, audit, guard } = options;
  const common = { tags: ['cameras'], security: bearer };
  const get = createRoute({
    ...common, method: 'get', path: '/cameras/{id}/qos', middleware: guard.require('stream:view'), request: { params: CameraParams }, summary: 'At which rate and on which models the camera is detected, since when and why.',
    responses: { 200: json(CameraQosState, 'The setting, and what it comes to now.'), ...invalid, ...guarded, ...missing },
  });
  const put = createRoute({
    ...common, method: 'put', path: '/cameras/{id}/qos', middleware: guard.require('camera:manage'), request: { params: CameraParams, body: body(CameraRates) }, summary: 'Bound the rate at which the camera is detected, and say how soon it gives way.',
    responses: { 200: json(CameraQosState, 'The setting, and what it came to before.'), ...invalid, ...guarded, ...missing, ...bodyRefused },
  });
  const view = async (c: Context<ApiEnv>, row: CameraRow) => {
    // Without a session, or an edge that answers, nothing is known to be detected.
    const figures = await stats.get(row.id, c.req.header('authorization') ?? '').catch(() => null);
    const { bandwidth_hint: _, codes: __, ...rates } = settingsOf(row).extra;
    const { detection } = EdgeFigures.safeParse(figures).data ?? {};
    return { ...CameraRates.parse(rates), now: detection?.qos ?? null, shown: detection?.shown ?? null };
  };
  return new OpenAPIHono<ApiEnv>()
    .openapi(get, async (c) => c.json(await view(c, await cameras.get(c.req.valid('param').id)), 200))
    .openapi(put, async (c) => {
      const { id } = c.req.valid('param');
      const rates = c.req.valid('json');
      const row = await cameras.patch(id, rates);
      audit.record({ principal: c.get('principal').username, action: 'camera:qos', target: id, detail: rates });
      return c.json(await view(c, row), 200);
    });
};
