import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import type { ApiEnv } from '../api-env.ts';
import type { AuditService } from '../audit/service.ts';
import type { Guard } from '../guard.ts';
import { PageQuery, decodeCursor, page, pageOf } from '../paging.ts';
import { ROLES, permissionsOf } from '../permissions.ts';
import { Timestamp, bearer, body, bodyRefused, conflict, guarded, invalid, json, missing, timestamp, timestampOrNull } from '../schemas.ts';
import { NewPassword, Username } from './credentials.ts';
import type { UserService } from './service.ts';
import type { UserRow } from './store.ts';

const Role = z.enum(ROLES);
const User = z
  .object({ id: z.string(), username: z.string(), role: z.string(), permissions: z.array(z.string()), created_at: Timestamp, disabled_at: Timestamp.nullable() })
  .openapi('User');
const NewUser = z.strictObject({ username: Username, password: NewPassword, role: Role }).openapi('NewUser');
const Change = z
  .strictObject({ password: NewPassword.optional(), role: Role.optional(), disabled: z.boolean().optional() })
  .refine((change) => Object.keys(change).length > 0, { error: 'names nothing to change' })
  .openapi('UserChange');
const Params = z.object({ id: z.string().max(64).openapi({ param: { name: 'id', in: 'path' } }) });

const view = (row: UserRow) => ({
  id: row.id, username: row.username, role: row.role, permissions: [...permissionsOf(row.role)], created_at: timestamp(row.created_at), disabled_at: timestampOrNull(row.disabled_at),
});

export const userRoutes = (users: UserService, audit: AuditService, guard: Guard) => {
  const common = { tags: ['admin'], security: bearer, middleware: guard.require('user:manage') };
  const list = createRoute({ ...common, method: 'get', path: '/users', summary: 'Users, by name.', request: { query: z.object(PageQuery) }, responses: { 200: json(pageOf(User), 'A page.'), ...invalid, ...guarded } });
  const create = createRoute({ ...common, method: 'post', path: '/users', summary: 'Add a user.', request: { body: body(NewUser) }, responses: { 201: json(User, 'The user.'), ...invalid, ...guarded, ...conflict, ...bodyRefused } });
  const get = createRoute({ ...common, method: 'get', path: '/users/{id}', summary: 'One user.', request: { params: Params }, responses: { 200: json(User, 'The user.'), ...guarded, ...missing } });
  const change = createRoute({
    ...common, method: 'patch', path: '/users/{id}', summary: 'Set password or role, disable or enable; ends all log-ins of the user.', request: { params: Params, body: body(Change) },
    responses: { 200: json(User, 'The user.'), ...invalid, ...guarded, ...missing, ...conflict, ...bodyRefused },
  });
  const remove = createRoute({ ...common, method: 'delete', path: '/users/{id}', summary: 'Remove a user.', request: { params: Params }, responses: { 204: { description: 'Removed.' }, ...guarded, ...missing, ...conflict } });

  return new OpenAPIHono<ApiEnv>()
    .openapi(list, async (c) => {
      const { limit, cursor } = c.req.valid('query');
      const position = decodeCursor(cursor, z.tuple([z.string()]));
      return c.json(page(await users.list(position?.[0], limit + 1), limit, view, (row) => [row.username]), 200);
    })
    .openapi(create, async (c) => {
      const { username, password, role } = c.req.valid('json');
      const user = await users.create(username, password, role);
      audit.record({ principal: c.get('principal').username, action: 'user:create', target: username, detail: { role } });
      c.header('location', `/v1/users/${user.id}`);
      return c.json(view(user), 201);
    })
    .openapi(get, async (c) => c.json(view(await users.get(c.req.valid('param').id)), 200))
    .openapi(change, async (c) => {
      const { password, ...rest } = c.req.valid('json');
      const user = await users.change(c.req.valid('param').id, { ...rest, password });
      audit.record({ principal: c.get('principal').username, action: 'user:change', target: user.username, detail: { ...rest, password: password !== undefined } });
      return c.json(view(user), 200);
    })
    .openapi(remove, async (c) => {
      const user = await users.get(c.req.valid('param').id);
      await users.remove(user.id);
      audit.record({ principal: c.get('principal').username, action: 'user:remove', target: user.username });
      return c.body(null, 204);
    });
};
