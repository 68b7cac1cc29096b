import * as z from 'zod';
import { secret } from './marks.ts';

export const WebRtcConfig = z.strictObject({
  port: z.int().min(0).max(65535).prefault(8189).describe('The one UDP port of every WebRTC peer. 0 = any free port.'),
  bind: z.string().optional().describe('Address of this listener alone; default: `bind`.'),
  additional_hosts: z.array(z.string()).prefault([]).describe("Addresses announced to peers beside the machine's own (behind NAT, in a container)."),
  keyframe_interval_seconds: z.number().positive().prefault(4).describe('A WebRTC publisher that sent no key frame for so long is asked for one.'),
  jitter_buffer_ms: z.number().min(0).max(2000).prefault(200).describe('How long the server waits for a lost packet before it gives the picture up.'),
  max_bitrate_bps: z.int().positive().prefault(8_000_000).describe('What a WebRTC publisher is told it may send.'),
  ice_servers: z.array(z.strictObject({ urls: z.string(), username: z.string().optional(), credential: z.string().meta(secret).optional() })).prefault([]).describe('STUN and TURN servers told to publishers and viewers (`Link: rel="ice-server"`).'),
});
