import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import type { ApiEnv } from '../api-env.ts';
import type { Guard } from '../guard.ts';
import { PageQuery, decodeCursor, page, pageOf } from '../paging.ts';
import { CameraId, Timestamp, bearer, guarded, invalid, json, missing, timestamp } from '../schemas.ts';
import type { AlarmService } from './service.ts';
import type { AlarmRow } from './store.ts';

const Query = z.object({
  camera: CameraId.optional(),
  raised: z.enum(['true', 'false', 'any']).prefault('true').describe('`false`: those that are over; `any`: all.'),
  ...PageQuery,
});
const AlarmParams = z.object({ id: z.string().min(1).max(300).openapi({ param: { name: 'id', in: 'path' } }) });

const Alarm = z
  .object({
    id: z.string().describe('The same each time the same thing happens.'), camera: CameraId.nullable(), code: z.string().openapi({ example: 'recording_disk_full' }),
    message: z.string().describe('What happened, and what to do.'), raised: z.boolean(), at: Timestamp.describe('When it was raised or cleared.'),
  })
  .openapi('Alarm');

const view = (row: AlarmRow): z.output<typeof Alarm> => ({ id: row.id, camera: row.camera_id, code: row.code, message: row.message, raised: row.raised === 1, at: timestamp(row.at) });

export const alarmRoutes = (alarms: AlarmService, guard: Guard) => {
  const list = createRoute({
    method: 'get', path: '/alarms', tags: ['alarms'], summary: 'What needs an operator, newest first.', security: bearer, middleware: guard.require('stream:view'),
    request: { query: Query }, responses: { 200: json(pageOf(Alarm), 'A page.'), ...invalid, ...guarded },
  });
  const clear = createRoute({
    method: 'delete', path: '/alarms/{id}', tags: ['alarms'], summary: 'Clears an alarm that somebody has seen to.', security: bearer, middleware: guard.require('camera:manage'),
    request: { params: AlarmParams }, responses: { 204: { description: 'Cleared.' }, ...guarded, ...missing },
  });
  return new OpenAPIHono<ApiEnv>()
    .openapi(list, async (c) => {
      const { camera, raised, limit, cursor } = c.req.valid('query');
      const after = decodeCursor(cursor, z.tuple([z.number(), z.string()]));
      const rows = await alarms.list({ camera, raised: raised === 'any' ? undefined : raised === 'true' }, after, limit + 1);
      return c.json(page(rows, limit, view, (row) => [row.at, row.id]), 200);
    })
    .openapi(clear, async (c) => {
      await alarms.clear(c.req.valid('param').id);
      return c.body(null, 204);
    });
};
