import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import type { Clock } from '../../core/clock.ts';
import type { ApiEnv } from '../api-env.ts';
import { Timestamp, json, timestamp } from '../schemas.ts';
import type { MetricsService } from './metrics.ts';
import type { HealthService } from './service.ts';

const Health = z
  .object({
    status: z.literal('ok'), version: z.string(), time: Timestamp.describe("The server's clock, which all times refer to."),
    ports: z.record(z.string(), z.int()).describe('What listens, also where the configuration said 0.'), urls: z.record(z.string(), z.string()),
  })
  .openapi('Health');
const Ready = z
  .object({
    status: z.enum(['ready', 'starting']), missing: z.array(z.string()).describe('Has not answered once.'), degraded: z.array(z.string()).describe('Has answered, and does not now.'),
  })
  .openapi('Readiness');

export interface HealthRoutesOptions {
  readonly health: HealthService;
  readonly metrics: MetricsService;
  readonly clock: Clock;
  readonly version: string;
  readonly ports: () => Readonly<Record<string, number>>;
  readonly urls: () => Readonly<Record<string, string>>;
}

/** Open to everybody: probes of load balancers and Prometheus carry no token. */
export const healthRoutes = (options: HealthRoutesOptions) => {
  const health = createRoute({ method: 'get', path: '/health', tags: ['health'], summary: 'Whether HTTP answers, and where everything listens.', responses: { 200: json(Health, 'It does.') } });
  const ready = createRoute({
    method: 'get', path: '/health/ready', tags: ['health'], summary: 'Whether every part has answered once.', responses: { 200: json(Ready, 'Ready.'), 503: json(Ready, 'Not yet.') },
  });
  const metrics = createRoute({
    method: 'get', path: '/metrics', tags: ['health'], summary: 'Metrics of all processes, as Prometheus text.',
    responses: { 200: { description: 'Prometheus text format 0.0.4.', content: { 'text/plain': { schema: z.string() } } } },
  });
  return new OpenAPIHono<ApiEnv>()
    .openapi(health, (c) => {
      c.header('cache-control', 'no-store');
      return c.json({ status: 'ok' as const, version: options.version, time: timestamp(options.clock.now()), ports: { ...options.ports() }, urls: { ...options.urls() } }, 200);
    })
    .openapi(ready, async (c) => {
      const { ready: isReady, missing, degraded } = await options.health.readiness();
      c.header('cache-control', 'no-store');
      const body = { status: isReady ? ('ready' as const) : ('starting' as const), missing: [...missing], degraded: [...degraded] };
      if (isReady) return c.json(body, 200);
      c.header('retry-after', '1');
      return c.json(body, 503);
    })
    .openapi(metrics, async (c) => c.text(await options.metrics.text(), 200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8', 'cache-control': 'no-store' }));
};
