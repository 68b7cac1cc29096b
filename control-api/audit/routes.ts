import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import type { ApiEnv } from '../api-env.ts';
import type { Guard } from '../guard.ts';
import { PageQuery, decodeCursor, page, pageOf } from '../paging.ts';
import { Instant, Timestamp, bearer, guarded, invalid, json, timestamp } from '../schemas.ts';
import type { AuditService } from './service.ts';

const Entry = z
  .object({
    id: z.int(), at: Timestamp, principal: z.string().nullable(), action: z.string(), target: z.string().nullable(), result: z.enum(['ok', 'denied']),
    detail: z.record(z.string(), z.unknown()).describe('`count`: so many equal entries within a fifth of a second.'),
  })
  .openapi('AuditEntry');
const Query = z.object({
  principal: z.string().optional(), action: z.string().optional(), result: z.enum(['ok', 'denied']).optional(), from: Instant.optional(), to: Instant.optional(), ...PageQuery,
});

export const auditRoutes = (audit: AuditService, guard: Guard) => {
  const list = createRoute({
    method: 'get', path: '/audit', tags: ['admin'], summary: 'Denials, log-ins and administrative changes, newest first.', security: bearer,
    middleware: guard.require('audit:view'), request: { query: Query }, responses: { 200: json(pageOf(Entry), 'A page.'), 304: { description: 'Unchanged.' }, ...invalid, ...guarded },
  });
  return new OpenAPIHono<ApiEnv>().openapi(list, async (c) => {
    const { cursor, limit, principal, action, result, from, to } = c.req.valid('query');
    const position = decodeCursor(cursor, z.tuple([z.int()]));
    const rows = await audit.list({
      limit: limit + 1,
      ...(principal === undefined ? {} : { principal }), ...(action === undefined ? {} : { action }), ...(result === undefined ? {} : { result }),
      ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }), ...(position === undefined ? {} : { before: position[0] }),
    });
    return Response.json(
      page(
        rows, limit,
        (row) => ({
          id: row.id, at: timestamp(row.at), principal: row.principal, action: row.action, target: row.target, result: row.result,
          detail: row.detail === null ? {} : (JSON.parse(row.detail) as Record<string, unknown>),
        }),
        (row) => [row.id],
      ),
    );
  });
};
