import { OpenAPIHono, createRoute } from '@hono/zod-openapi';
import type { ApiEnv } from '../api-env.ts';
import type { AuditService } from '../audit/service.ts';
import type { Guard } from '../guard.ts';
import { CameraParams, bearer, guarded, invalid, json, missing } from '../schemas.ts';
import { CameraDistribution } from './schemas.ts';
import type { CameraService } from './service.ts';

/**
 * A camera's live view off and on by hand (SD-53). It needs `camera:manage`, as the camera's other settings do: unlike recording's switch it
 * takes something away from everybody who watches, until somebody turns it back.
 */
export const distributionSwitchRoutes = (options: { readonly cameras: CameraService; readonly audit: AuditService; readonly guard: Guard }) => {
  const { cameras, audit, guard } = options;
  const common = { tags: ['cameras'], security: bearer, middleware: guard.require('camera:manage'), request: { params: CameraParams } };
  const responses = { 200: json(CameraDistribution, 'Whether the camera is shown live from now on.'), ...invalid, ...guarded, ...missing };
  const start = createRoute({ ...common, responses, method: 'post', path: '/cameras/{id}/distribution/start', summary: 'Show the camera live again.' });
  const stop = createRoute({
    ...common, responses, method: 'post', path: '/cameras/{id}/distribution/stop',
    summary: 'Show the camera to nobody live, until `start`: who watches is ended within a second. It is received, recorded and detected as before, and its recordings are played.',
  });
  const switched = async (id: string, to: 'on' | 'off', principal: string) => {
    const { distribution } = await cameras.switchDistribution(id, to);
    audit.record({ principal, action: to === 'on' ? 'distribution:start' : 'distribution:stop', target: id });
    return { state: distribution };
  };
  return new OpenAPIHono<ApiEnv>()
    .openapi(start, async (c) => c.json(await switched(c.req.valid('param').id, 'on', c.get('principal').username), 200))
    .openapi(stop, async (c) => c.json(await switched(c.req.valid('param').id, 'off', c.get('principal').username), 200));
};
