/** The media URLs of contract 0.4 in the OpenAPI document: the front door forwards them to the edge, so no handler here has a schema of them. */
import { z } from '@hono/zod-openapi';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { ApiEnv } from '../api-env.ts';
import { CameraId, bearer, guarded, missing, unavailable } from '../schemas.ts';

const camera = z.object({ camera: CameraId.openapi({ param: { name: 'camera', in: 'path' } }) });
const byId = z.object({ id: CameraId.openapi({ param: { name: 'id', in: 'path' } }) });
const sdp = { required: true, content: { 'application/sdp': { schema: z.string() } } };
const answer = { description: 'The SDP answer; `Location` is the session: DELETE ends it.', content: { 'application/sdp': { schema: z.string() } } };
const common = { tags: ['media'], security: bearer };
const refusals = { ...guarded, ...missing, ...unavailable };

export const documentMedia = (app: OpenAPIHono<ApiEnv>): void => {
  const { openAPIRegistry: registry } = app;
  registry.registerPath({ ...common, method: 'post', path: '/whip/{camera}', summary: 'Publish by WHIP (RFC 9725).', request: { params: camera, body: sdp }, responses: { 201: answer, ...refusals } });
  registry.registerPath({ ...common, method: 'post', path: '/whep/{camera}', summary: 'Play by WHEP; an offer that is `sendonly` publishes.', request: { params: camera, body: sdp }, responses: { 201: answer, ...refusals } });
  registry.registerPath({ ...common, method: 'get', path: '/hls/{camera}/index.m3u8', summary: 'Play by (LL-)HLS; the token may be `?token=`.', request: { params: camera }, responses: { 200: { description: 'The multivariant playlist.', content: { 'application/vnd.apple.mpegurl': { schema: z.string() } } }, ...refusals } });
  registry.registerPath({ ...common, method: 'get', path: '/v1/cameras/{id}/detections/live', summary: 'WebSocket: one message per inferred frame.', request: { params: byId }, responses: { 101: { description: 'WebSocket.' }, ...refusals } });
};
