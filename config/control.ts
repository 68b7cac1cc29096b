import * as z from 'zod';
import { secret } from './marks.ts';
import { Webhooks } from './webhooks.ts';

export const ControlConfig = z.strictObject({
  internal_listen: z.string().optional().describe('Where edges attach: a Unix socket by default; `host:port` for other hosts, there with a token.'),
  internal_token: z.string().min(16).optional().meta(secret).describe('The token edges show to attach and to call workers; needed where these listen on `host:port`.'),
});

export const AdminConfig = z.strictObject({
  password: z.string().min(8).optional().meta(secret).describe('Password of `admin` at the first start; unset: a random one is printed once.'),
});

export const JournalConfig = z.strictObject({
  max_bytes: z.int().positive().prefault(1024 ** 3).describe('Events waiting for the control process; detections give way first, counted.'),
  keep_hours: z.number().min(0).prefault(24).describe('Acknowledged events stay so long, so that a restored database can replay them.'),
});

export const DetectionsConfig = z.strictObject({
  retention_hours: z.number().positive().prefault(24 * 7).describe('Stored detections older than this are deleted, except in the ranges of marks.'),
});

export const EventsConfig = z.strictObject({
  retention_hours: z.number().positive().prefault(24 * 7).describe('Events stay so long for readers that come later; at most a million of each topic.'),
  webhooks: Webhooks.describe('Addresses that events are sent to as they happen.'),
});

export const LogConfig = z.strictObject({
  level: z.enum(['debug', 'info', 'warn', 'error']).prefault('info').describe('Least level that is logged, as JSON on stderr.'),
});
