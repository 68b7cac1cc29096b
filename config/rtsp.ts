import * as z from 'zod';

export const RtspConfig = z.strictObject({
  port: z.int().min(0).max(65535).prefault(8554).describe('RTSP over TCP. 0 = any free port.'),
  bind: z.string().optional().describe('Address of this listener alone; default: `bind`.'),
  auth: z.array(z.enum(['basic', 'digest'])).min(1).prefault(['basic']).describe('`[digest]`: user name = camera id, password = camera key, MD5.'),
  max_connections: z.int().positive().prefault(512).describe('More connections than this are refused.'),
});
