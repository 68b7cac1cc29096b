import { OpenAPIHono, createRoute } from '@hono/zod-openapi';
import type { ApiEnv } from '../api-env.ts';
import type { AuditService } from '../audit/service.ts';
import type { Guard } from '../guard.ts';
import { CameraParams, bearer, guarded, invalid, json, missing } from '../schemas.ts';
import { StoredRecording } from './schemas.ts';
import { settingsOf } from './service.ts';
import type { CameraService } from './service.ts';

/** Recording on and off by hand (SD-53), without touching the policy. */
export const recordingSwitchRoutes = (options: { readonly cameras: CameraService; readonly audit: AuditService; readonly guard: Guard }) => {
  const { cameras, audit, guard } = options;
  const common = { tags: ['cameras'], security: bearer, middleware: guard.require('recording:manage'), request: { params: CameraParams } };
  const responses = { 200: json(StoredRecording, 'How the camera is recorded from now on.'), ...invalid, ...guarded, ...missing };
  const start = createRoute({ ...common, responses, method: 'post', path: '/cameras/{id}/recording/start', summary: 'Record now, whatever policy and hours say, until `stop`, or until `recording` is set.' });
  const stop = createRoute({ ...common, responses, method: 'post', path: '/cameras/{id}/recording/stop', summary: 'Do not record, whatever the policy says, until `start`, or until `recording` is set.' });
  const switched = async (id: string, to: 'on' | 'off', principal: string) => {
    const row = await cameras.switchRecording(id, to);
    audit.record({ principal, action: to === 'on' ? 'recording:start' : 'recording:stop', target: id });
    return settingsOf(row).recording;
  };
  return new OpenAPIHono<ApiEnv>()
    .openapi(start, async (c) => c.json(await switched(c.req.valid('param').id, 'on', c.get('principal').username), 200))
    .openapi(stop, async (c) => c.json(await switched(c.req.valid('param').id, 'off', c.get('principal').username), 200));
};
