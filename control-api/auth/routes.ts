import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import { clientAddress } from '../api-env.ts';
import type { ApiEnv } from '../api-env.ts';
import type { Guard } from '../guard.ts';
import { bearer, body, bodyRefused, guarded, invalid, json, tooMany, unavailable } from '../schemas.ts';
import type { AuthService } from './service.ts';

const User = z.object({ id: z.string(), username: z.string(), role: z.string(), permissions: z.array(z.string()) }).openapi('CurrentUser');
const Tokens = z
  .object({ access_token: z.string(), refresh_token: z.string(), token_type: z.literal('Bearer'), expires_in: z.int().describe('Seconds the access token is valid.'), user: User })
  .openapi('Tokens');
const Login = z.strictObject({ username: z.string().min(1).max(128), password: z.string().min(1).max(1024) }).openapi('Login');
const Refresh = z.strictObject({ refresh_token: z.string().min(1).max(256) }).openapi('Refresh');
const Logout = z.strictObject({ refresh_token: z.string().max(256).nullish().describe('Of another log-in of the same user: that ends, too.') }).openapi('Logout');
const Jwks = z.object({ keys: z.array(z.record(z.string(), z.string())) }).openapi('Jwks');

const login = createRoute({
  method: 'post', path: '/auth/login', tags: ['auth'], summary: 'Log in with user name and password.', request: { body: body(Login) },
  responses: { 200: json(Tokens, 'A pair of tokens.'), ...invalid, 401: guarded[401], ...bodyRefused, ...tooMany, ...unavailable },
});
const refresh = createRoute({
  method: 'post', path: '/auth/refresh', tags: ['auth'], summary: 'A new pair of tokens for a refresh token, once. Using one twice ends the log-in.', request: { body: body(Refresh) },
  responses: { 200: json(Tokens, 'A pair of tokens.'), ...invalid, 401: guarded[401], ...bodyRefused },
});
const jwks = (path: string) => createRoute({ method: 'get', path, tags: ['auth'], summary: 'Public keys of access tokens (RFC 7517).', responses: { 200: json(Jwks, 'The keys.') } });

export const authRoutes = (auth: AuthService, guard: Guard) => {
  const logout = createRoute({
    method: 'post', path: '/auth/logout', tags: ['auth'], summary: 'End this log-in: its access and refresh tokens are revoked.', security: bearer,
    middleware: guard.require(null), request: { body: { ...body(Logout), required: false } },
    responses: { 204: { description: 'Logged out.' }, ...invalid, 401: guarded[401], ...bodyRefused },
  });
  const me = createRoute({
    method: 'get', path: '/auth/me', tags: ['auth'], summary: 'Whose token this is.', security: bearer, middleware: guard.require(null),
    responses: { 200: json(User, 'The user.'), 401: guarded[401] },
  });
  return new OpenAPIHono<ApiEnv>()
    .openapi(login, async (c) => {
      const { username, password } = c.req.valid('json');
      const tokens = await auth.login(username, password, clientAddress(c.env));
      c.header('cache-control', 'no-store');
      return c.json(tokens, 200);
    })
    .openapi(refresh, async (c) => {
      const tokens = await auth.refresh(c.req.valid('json').refresh_token, clientAddress(c.env));
      c.header('cache-control', 'no-store');
      return c.json(tokens, 200);
    })
    .openapi(logout, async (c) => {
      await auth.logout(c.get('principal'), c.req.valid('json').refresh_token ?? null);
      return c.body(null, 204);
    })
    .openapi(me, (c) => {
      const { id, username, role, permissions } = c.get('principal');
      return c.json({ id, username, role, permissions: [...permissions] }, 200);
    });
};

/** The key set, at each path where a client may look for it. */
export const jwksRoutes = (auth: AuthService, paths: readonly string[]) => {
  const app = new OpenAPIHono<ApiEnv>();
  for (const path of paths) {
    app.openapi(jwks(path), (c) => {
      c.header('cache-control', 'public, max-age=300');
      return c.json({ keys: auth.jwks() }, 200);
    });
  }
  return app;
};
