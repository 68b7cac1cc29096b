import * as z from 'zod';

export const HttpConfig = z.strictObject({
  port: z.int().min(0).max(65535).prefault(8080).describe('Front door: pages, REST, WebSocket, media URLs forwarded to the edge. 0 = any free port.'),
  bind: z.string().optional().describe('Address of this listener alone; default: `bind`.'),
});

export const EdgeConfig = z.strictObject({
  http_port: z.int().min(0).max(65535).prefault(8081).describe('Media HTTP served by the edge itself: WHIP, WHEP, HLS, WebSockets. 0 = any free port.'),
  bind: z.string().optional().describe('Address of this listener alone; default: `bind`.'),
});

export const CorsConfig = z.strictObject({
  origins: z.array(z.string()).prefault(['*']).describe('Origins whose pages may use the media port and the API. `*` = any.'),
});
