import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import type { ApiEnv } from '../api-env.ts';
import type { AuditService } from '../audit/service.ts';
import type { Guard } from '../guard.ts';
import { Instant, Timestamp, bearer, body, bodyRefused, guarded, invalid, json, timestamp } from '../schemas.ts';
import type { RetentionHoldService } from './service.ts';

const Held = z
  .object({ held: z.object({ since: Timestamp, message: z.string() }).nullable() })
  .openapi('RetentionHold', { description: 'A deletion of more than half of all recordings at once waits for confirmation.' });
const Confirmation = z.strictObject({ since: Instant.describe('The `since` of what is confirmed.') }).openapi('RetentionConfirmation');

export const retentionHoldRoutes = (holds: RetentionHoldService, audit: AuditService, guard: Guard) => {
  const common = { tags: ['recordings'], security: bearer };
  const get = createRoute({
    ...common, method: 'get', path: '/retention', middleware: guard.require('recording:view'), summary: 'Whether a deletion is held back.',
    responses: { 200: json(Held, 'What waits.'), ...guarded },
  });
  const confirm = createRoute({
    ...common, method: 'post', path: '/retention/confirm', middleware: guard.require('recording:manage'), summary: 'Let what is held back be deleted.', request: { body: body(Confirmation) },
    responses: { 204: { description: 'It is deleted from now on.' }, 409: { description: 'Nothing held back since then.' }, ...invalid, ...guarded, ...bodyRefused },
  });
  return new OpenAPIHono<ApiEnv>()
    .openapi(get, async (c) => {
      const hold = await holds.hold();
      return c.json({ held: hold ? { since: timestamp(hold.since), message: hold.message } : null }, 200);
    })
    .openapi(confirm, async (c) => {
      const { since } = c.req.valid('json');
      await holds.confirm(since);
      audit.record({ principal: c.get('principal').username, action: 'retention:confirm', target: timestamp(since) });
      return c.body(null, 204);
    });
};
