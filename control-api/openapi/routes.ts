import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import type { ApiEnv } from '../api-env.ts';
import { tagged, answerTagged } from '../etag.ts';
import { docsPage } from './docs-page.ts';
import { documentMedia } from './media-paths.ts';

const document = createRoute({ method: 'get', path: '/openapi.json', tags: ['documents'], summary: 'This document.', responses: { 200: { description: 'OpenAPI 3.1.', content: { 'application/json': { schema: z.record(z.string(), z.unknown()) } } }, 304: { description: 'Unchanged.' } } });
const page = createRoute({ method: 'get', path: '/docs', tags: ['documents'], summary: 'This document, for people.', responses: { 200: { description: 'HTML.', content: { 'text/html': { schema: z.string() } } } } });

const DESCRIPTION =
  'Everything under /v1 is served under /api/v1 too. Lists answer {"items", "next_cursor"} and take limit and cursor. Times are RFC 3339, UTC. Errors are application/problem+json (RFC 9457). Log in with POST /v1/auth/login and send the access token as a Bearer token.';

/** The document and its page, of all routes of `api` (mounted at /v1) and `root`. Made once, at the first request. */
export const openApiRoutes = (api: OpenAPIHono<ApiEnv>, root: OpenAPIHono<ApiEnv>, version: string) => {
  let made: { readonly json: ReturnType<typeof tagged>; readonly html: string } | null = null;
  const make = () => {
    const all = new OpenAPIHono<ApiEnv>();
    all.route('/v1', api);
    all.route('/', root);
    documentMedia(all);
    all.openAPIRegistry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' });
    const content = all.getOpenAPI31Document({ openapi: '3.1.0', info: { title: 'ImageFlow Edge', version, description: DESCRIPTION, license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' } }, servers: [{ url: '/' }] });
    return { json: tagged(content), html: docsPage(content) };
  };
  const app = new OpenAPIHono<ApiEnv>();
  app.openapi(document, (c) => answerTagged(c.req.header('if-none-match'), (made ??= make()).json));
  app.openapi(page, (c) => {
    c.header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'");
    return c.html((made ??= make()).html, 200);
  });
  return app;
};
