/** The REST API and the pages as one Hono application: one router, at /v1 and at /api/v1. */
import { OpenAPIHono } from '@hono/zod-openapi';
import { createMiddleware } from 'hono/factory';
import { bodyLimit } from 'hono/body-limit';
import { routePath } from 'hono/route';
import type { Clock } from '../core/clock.ts';
import { MediaError } from '../core/errors.ts';
import type { Logger } from '../platform/logging.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { ApiEnv } from './api-env.ts';
import { openApiRoutes } from './openapi/routes.ts';
import { ownBodyOf } from './own-bodies.ts';
import { logFailure, problemOf } from './problem.ts';
import { createRequestMeter } from './request-meter.ts';
import type { StaticPages } from './pages/static-pages.ts';
import { toValidationError } from './validation.ts';

/** JSON bodies; nothing of ours comes near. */
const MAX_BODY_BYTES = 256 * 1024;

export interface AppOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly pages: StaticPages | null;
  readonly version: string;
  /** Each resource's routes, below /v1. */
  readonly resources: readonly OpenAPIHono<ApiEnv>[];
  /** Routes at the root, where tools look for them: /metrics, /health, /.well-known/jwks.json. */
  readonly rootResources: readonly OpenAPIHono<ApiEnv>[];
}

const newRouter = (): OpenAPIHono<ApiEnv> =>
  new OpenAPIHono<ApiEnv>({
    defaultHook: (result) => {
      if (!result.success) throw toValidationError(result.error, 'data' in result ? result.data : undefined);
    },
  });

export const createApp = (options: AppOptions): OpenAPIHono<ApiEnv> => {
  const { clock, logger, metrics, pages } = options;
  const app = newRouter();

  const observe = createRequestMeter(metrics);
  app.use(
    createMiddleware<ApiEnv>(async (c, next) => {
      const start = clock.monotonic();
      await next();
      // Playback writes its answer itself.
      const { outgoing } = c.env;
      observe(routePath(c, -1), outgoing.headersSent ? outgoing.statusCode : c.res.status, (clock.monotonic() - start) / 1000);
    }),
  );
  const limited = bodyLimit({
    maxSize: MAX_BODY_BYTES,
    onError: () => { throw new MediaError('PAYLOAD_TOO_LARGE', `The body is larger than ${String(MAX_BODY_BYTES)} bytes.`, { context: { max_bytes: MAX_BODY_BYTES } }); },
  });
  const limitedJson = createMiddleware<ApiEnv>((c, next) => (ownBodyOf(c.req.method, c.req.path) === null ? limited(c, next) : next()));
  for (const method of ['post', 'put', 'patch', 'delete'] as const) app.on(method, '*', limitedJson);

  const api = newRouter();
  for (const resource of options.resources) api.route('/', resource);
  const root = newRouter();
  for (const resource of options.rootResources) root.route('/', resource);
  api.route('/', openApiRoutes(api, root, options.version));
  app.route('/v1', api);
  app.route('/api/v1', api);
  app.route('/', root);

  const context = (path: string, requestId: string) => ({ requestId, instance: path, now: clock.now() });
  app.onError((error, c) => {
    const at = context(c.req.path, c.env.requestId);
    logFailure(logger, error, at);
    const problem = problemOf(error, at);
    return new Response(JSON.stringify(problem.body), { status: problem.status, headers: problem.headers });
  });
  app.notFound(async (c) => {
    const { path, method } = c.req;
    const isPage = (method === 'GET' || method === 'HEAD') && !/^\/(?:api|v1|metrics|\.well-known)(?:\/|$)/.test(path);
    const page = isPage && pages !== null ? await pages.answer(path, { accept: c.req.header('accept'), ifNoneMatch: c.req.header('if-none-match') }) : null;
    if (page !== null) return page;
    const problem = problemOf(new MediaError('NOT_FOUND', `There is nothing at ${method} ${path.slice(0, 200)}.`), context(path, c.env.requestId));
    return new Response(JSON.stringify(problem.body), { status: problem.status, headers: problem.headers });
  });
  return app;
};
