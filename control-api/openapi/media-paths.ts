/** The media URLs of contract 0.4 in the OpenAPI document: the front door forwards them to the edge, so no handler here has a schema of them. */
import { z } from '@hono/zod-openapi';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { ApiEnv } from '../api-env.ts';
import { MarkSchema } from '../marks/service.ts';
import { CameraId, Instant, Timestamp, bearer, guarded, invalid, json, missing, tooMany, unavailable, unprocessable } from '../schemas.ts';

const camera = z.object({ camera: CameraId.openapi({ param: { name: 'camera', in: 'path' } }) });
const byId = z.object({ id: CameraId.openapi({ param: { name: 'id', in: 'path' } }) });
const sdp = { required: true, content: { 'application/sdp': { schema: z.string() } } };
const answer = { description: 'The SDP answer; `Location` is the session: DELETE ends it.', content: { 'application/sdp': { schema: z.string() } } };
const common = { tags: ['media'], security: bearer };
const refusals = { ...guarded, ...missing, ...unavailable };

const Range = z.object({ from: Timestamp, to: Timestamp });
const Upload = z
  .object({
    camera: CameraId, from: Timestamp, to: Timestamp, session_id: z.string().nullable(), taken: z.array(Range), already_recorded: z.array(Range), segments: z.int(), pictures: z.int(),
    mark: MarkSchema.optional().describe('What the query said of the range; absent where it said nothing.'),
  })
  .openapi('Upload');
const UploadQuery = z.object({
  start: Instant.describe('When its first picture was taken; `captured_at` is the same.'), tags: z.string().optional().describe('With commas.'),
  title: z.string().optional(), note: z.string().optional(), product_id: z.string().optional(), inspection_id: z.string().optional(), work_order_id: z.string().optional(), instruction_id: z.string().optional(), product_type: z.string().optional(), machine_number: z.string().optional(),
  production_date: z.iso.date().optional(), monthly_sequence: z.string().optional(), inspection_result: z.string().optional(), archive: z.enum(['true', 'false']).optional(),
});
const side = z.int().min(16).max(4096).optional().describe('Pixels; the picture is as large as fits, never enlarged.');
const Look = z.object({
  width: side, height: side, quality: z.int().min(1).max(100).optional().describe('Of JPEG and WebP; 80 unless given.'),
  annotated: z.enum(['true', 'false']).optional().describe('With the boxes of what was detected drawn in.'),
});
const Rate = Look.extend({ fps: z.number().min(0.1).max(60).optional().describe('15 unless given.') });
const picture = (type: string): { readonly schema: z.ZodType } => ({ schema: z.string().openapi({ format: 'binary', description: type }) });
const boxes = '`X-Picture-Boxes` (`exact`, `held`, `none`) says of which frame the boxes drawn in are.';
const mp4 = { required: true, content: { 'video/mp4': { schema: z.string().openapi({ format: 'binary' }) } } };

export const documentMedia = (app: OpenAPIHono<ApiEnv>): void => {
  const { openAPIRegistry: registry } = app;
  registry.registerPath({ ...common, method: 'post', path: '/whip/{camera}', summary: 'Publish by WHIP (RFC 9725).', request: { params: camera, body: sdp }, responses: { 201: answer, ...refusals } });
  registry.registerPath({ ...common, method: 'post', path: '/whep/{camera}', summary: 'Play by WHEP; an offer that is `sendonly` publishes.', request: { params: camera, body: sdp }, responses: { 201: answer, ...refusals } });
  registry.registerPath({ ...common, method: 'get', path: '/hls/{camera}/index.m3u8', summary: 'Play by (LL-)HLS; the token may be `?token=`.', request: { params: camera }, responses: { 200: { description: 'The multivariant playlist.', content: { 'application/vnd.apple.mpegurl': { schema: z.string() } } }, ...refusals } });
  registry.registerPath({
    ...common, method: 'post', path: '/whep/{camera}/annotated', summary: 'Play by WHEP with boxes burned in; encoded while somebody watches.', request: { params: camera, body: sdp },
    responses: { 201: answer, 406: { description: 'Nothing the offer has can be sent.' }, ...refusals, ...unprocessable },
  });
  registry.registerPath({
    ...common, method: 'get', path: '/hls/{camera}/annotated/index.m3u8', summary: 'Play by (LL-)HLS with boxes burned in; the first request waits for the first segment.', request: { params: camera },
    responses: { 200: { description: 'The multivariant playlist.', content: { 'application/vnd.apple.mpegurl': { schema: z.string() } } }, ...refusals },
  });
  registry.registerPath({
    ...common, method: 'post', path: '/v1/recordings/{camera}/uploads', summary: 'Fill the gaps of a recording with an MP4 (H.264, AAC or Opus) that the device recorded itself.', request: { params: camera, query: UploadQuery, body: mp4 },
    responses: { 201: json(Upload, 'What was taken.'), 200: json(Upload, 'Nothing was taken: it is recorded already.'), 413: { description: 'Larger than `recorder.upload_max_bytes`.' }, 415: { description: 'Not `video/mp4`.' }, ...invalid, ...refusals, ...unprocessable, ...tooMany },
  });
  registry.registerPath({
    ...common, method: 'get', path: '/v1/cameras/{id}/snapshot', summary: 'The newest decoded picture.', request: { params: byId, query: Look.extend({ format: z.enum(['jpeg', 'png', 'webp']).optional().describe('Else what `Accept` likes best.') }) },
    responses: { 200: { description: `The picture; its headers say which. ${boxes}`, content: { 'image/jpeg': picture('JPEG'), 'image/png': picture('PNG'), 'image/webp': picture('WebP') } }, 304: { description: '`If-None-Match` names it.' }, 406: { description: 'Nothing of `Accept` can be had.' }, ...invalid, ...refusals, ...unprocessable },
  });
  registry.registerPath({
    ...common, method: 'get', path: '/v1/cameras/{id}/mjpeg', summary: 'An endless row of JPEGs, for an `<img>`.', request: { params: byId, query: Rate },
    responses: { 200: { description: `A JPEG a part; its headers say which picture it is. ${boxes}`, content: { 'multipart/x-mixed-replace': picture('JPEGs') } }, ...invalid, ...refusals },
  });
  registry.registerPath({
    ...common, method: 'get', path: '/ws/stream/{camera}', summary: 'WebSocket: pictures with what was found in each.', request: { params: camera, query: Rate.extend({ binary: z.enum(['true', 'false']).optional() }) },
    responses: { 101: { description: 'WebSocket.' }, ...invalid, ...refusals },
  });
  registry.registerPath({ ...common, method: 'get', path: '/v1/cameras/{id}/detections/live', summary: 'WebSocket: one message per inferred frame.', request: { params: byId }, responses: { 101: { description: 'WebSocket.' }, ...refusals } });
};
