/** The doors of live pictures on a real HTTP server, with pictures of ours and a clock that moves when told to. */
import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { MediaError } from '../../core/errors.ts';
import { Hub } from '../../core/hub.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import type { DetectionUnit } from '../../extractor/port.ts';
import type { CameraStream } from '../../ingest/port.ts';
import type { Authorizer } from '../../media-control/port.ts';
import { FakeDistribution } from '../../media-control/testing-distribution.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { readParts } from '../../test/support/mjpeg-reader.ts';
import { until } from '../../test/support/server.ts';
import { MediaHttpServer } from '../../transport/http/media-http-server.ts';
import { FakeCamera } from '../webrtc/testing.ts';
import { FrameSocket } from './frame-socket.ts';
import { MjpegEndpoint } from './mjpeg-endpoint.ts';
import { serveSnapshots } from './snapshot-endpoint.ts';
import { FakePictures, pictureOf, resultOf } from './testing-pictures.ts';

let clock: FakeClock;
let stack: AsyncDisposableStack;
let base: string;
let pictures: FakePictures;
let detections: Hub<DetectionUnit>;
let distribution: FakeDistribution;
let mjpeg: MjpegEndpoint;
let frames: FrameSocket;
let phase: 'live' | 'interrupted';
let metrics: ReturnType<typeof createMetrics>;
let revoke: (id: string) => void;
let remove: () => void;
let valid: boolean;

beforeEach(async () => {
  clock = new FakeClock();
  stack = new AsyncDisposableStack();
  pictures = new FakePictures();
  detections = new Hub();
  distribution = new FakeDistribution();
  metrics = createMetrics('test');
  valid = true;
  phase = 'live';
  const cameras = new Map<string, CameraStream>([['line-1', Object.defineProperty(new FakeCamera('line-1', clock), 'session', { get: () => ({ phase }) })]]);
  const revoked = new Set<(id: string) => void>();
  const removed = new Set<(camera: string) => void>();
  revoke = (id) => { for (const listener of revoked) listener(id); };
  remove = () => { cameras.clear(); for (const listener of removed) listener('line-1'); };
  const none = { [Symbol.dispose]: () => undefined };
  const authorizer: Authorizer = {
    authorize: (credential, _action, camera) => (credential === 'key' && valid ? Promise.resolve({ kind: 'key', id: 'k1', camera, grants: 'view' }) : Promise.reject(new MediaError('UNAUTHENTICATED', 'no'))),
    digestHa1s: () => [],
    onRevoked: (listener) => { revoked.add(listener); return none; },
  };
  const streams = { get: (id: string) => cameras.get(id), list: () => [...cameras.values()], onStream: () => none, onRemoved: (listener: (camera: string) => void) => { removed.add(listener); return none; } };
  const http = stack.use(new MediaHttpServer({ clock, logger: silentLogger(), metrics, origins: ['*'], health: () => ({}) }));
  const watched = { router: http, authorizer, streams, distribution, clock, logger: silentLogger(), metrics };
  serveSnapshots({ ...watched, pictures });
  mjpeg = stack.use(new MjpegEndpoint({ ...watched, pictures, viewersPerCamera: 2 }));
  frames = stack.use(new FrameSocket({ ...watched, pictures, detections: { detections: () => detections, stats: () => null }, socketsPerCamera: 2 }));
  await http.listen(0, '127.0.0.1');
  base = `http://127.0.0.1:${String(http.port)}`;
});
afterEach(() => stack.disposeAsync());

const get = (path: string, headers: Record<string, string> = {}): Promise<Response> => fetch(`${base}/v1/cameras/line-1/${path}`, { headers: { authorization: 'Bearer key', ...headers } });
const problemOf = async (response: Response): Promise<unknown> => ({ status: response.status, code: ((await response.json()) as { code: string }).code });
const dropped = async (branch: string): Promise<number> => (await metrics.branchDropped.get()).values.filter(({ labels }) => labels.branch === branch).reduce((sum, { value }) => sum + value, 0);
const watchers = (count: number): Promise<unknown> => until(`${String(count)} watch`, () => pictures.watchers.size === count);

describe('snapshot', () => {
  test('[EXT-9] is answered with its FrameRef, its tag, and to no cache', async () => {
    const response = await get('snapshot?format=png');
    expect(await response.text()).toBe('JPEG 3');
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'image/png', 'content-length': '6', 'cache-control': 'no-store', 'etag': '"7-27000-640x360-png"', 'x-picture-time': '2025-06-15T15:06:40.300Z', 'x-picture-epoch': '7',
      'x-picture-rtp-timestamp': '27000', 'x-picture-sequence': '3', 'vary': 'Accept, Authorization, Origin',
    });
    expect((await get('snapshot?format=png', { 'if-none-match': '"other", W/"7-27000-640x360-png"' })).status).toBe(304);
    expect((await get('snapshot', { 'if-none-match': '"7-27000-640x360-png"' })).status).toBe(200);
  });

  test('[DIS-4] with boxes drawn in it says of which frame they are, and has a tag of its own', async () => {
    const response = await get('snapshot?annotated=true&format=png');
    expect(Object.fromEntries(response.headers)).toMatchObject({ 'x-picture-boxes': 'held', 'x-picture-boxes-age': '67', 'etag': '"7-27000-640x360-png-annotated"' });
    expect((await get('snapshot')).headers.get('x-picture-boxes')).toBeNull();
  });

  test('[ING-6] whose credential is taken back while it waits for its picture is refused', async () => {
    pictures.still = () => {
      valid = false;
      return Promise.resolve(pictureOf(1));
    };
    expect((await get('snapshot')).status).toBe(401);
  });

  test('[SD-53] of a camera switched off while it waits is refused', async () => {
    pictures.still = () => {
      distribution.turn('line-1', 'off');
      return Promise.resolve(pictureOf(1));
    };
    expect(await problemOf(await get('snapshot'))).toEqual({ status: 409, code: 'DISTRIBUTION_OFF' });
  });
});

describe('mjpeg', () => {
  test('[EXT-9] shows what comes, as it was asked for', async () => {
    const [response] = await Promise.all([get('mjpeg?fps=5&width=640&quality=50'), watchers(1).then(() => { pictures.show(pictureOf(1)); })]);
    expect([...pictures.watchers]).toMatchObject([{ camera: 'line-1', spec: { format: 'jpeg', width: 640, height: null, quality: 50 }, fps: 5 }]);
    expect(response.headers.get('cache-control')).toBe('no-store');
    const parts = readParts(response);
    expect((await parts.next()).value?.bytes.toString()).toBe('JPEG 1');
    pictures.show(pictureOf(2));
    expect((await parts.next()).value?.bytes.toString()).toBe('JPEG 2');
    expect(mjpeg.viewers('line-1')).toBe(1);
    await parts.return();
    await watchers(0);
    expect(mjpeg.viewers('line-1')).toBe(0);
  });

  test('[EXT-6] a client that reads nothing has one picture on its way and one waiting, costs others nothing, and is cut off after half a minute', async () => {
    const client = request(`${base}/v1/cameras/line-1/mjpeg?token=key`);
    client.end();
    client.on('error', () => undefined);
    const answered = once(client, 'response') as Promise<[IncomingMessage]>;
    const [fast] = await Promise.all([get('mjpeg'), watchers(2).then(() => { pictures.show(pictureOf(0)); })]);
    const [slow] = await answered;
    slow.pause();
    const parts = readParts(fast);
    await parts.next();
    const large = Buffer.alloc(8 << 20); // more than the system's buffers take
    for (let seq = 1; seq <= 5; seq++) {
      pictures.show(pictureOf(seq, large));
      expect((await parts.next()).value?.headers.get('x-picture-sequence')).toBe(String(seq));
    }
    expect(await dropped('mjpeg')).toBe(3);
    clock.advance(40_000);
    await watchers(1);
    pictures.show(pictureOf(9));
    expect((await parts.next()).value?.headers.get('x-picture-sequence')).toBe('9');
    await parts.return();
  });

  test.each([
    ['the credential is revoked', () => { revoke('k1'); }, 401], ['the camera is shown to nobody', () => { distribution.turn('line-1', 'off'); }, 409], ['the camera is removed', () => { remove(); }, 404],
    ['the server stops', () => { mjpeg[Symbol.dispose](); }, 503], ['no picture comes in ten seconds', () => { clock.advance(10_000); }, 503],
  ])('[ING-6] ends when %s, with the reason where nothing was shown yet', async (name, happens, status) => {
    const waiting = get('mjpeg');
    await watchers(1);
    happens();
    expect((await waiting).status).toBe(status);
    expect(pictures.watchers.size).toBe(0);
    if (status === 404 || status === 409 || name.includes('stops')) return;
    const [response] = await Promise.all([get('mjpeg'), watchers(1).then(() => { pictures.show(pictureOf(1)); })]);
    const parts = readParts(response);
    await parts.next();
    happens();
    if (name.includes('no picture')) { // a camera that is away for a while does not end who watches
      expect(mjpeg.viewers('line-1')).toBe(1);
      await parts.return();
    } else expect((await parts.next()).done).toBe(true);
  });

  test('[DIS-1] of more viewers than a camera may have, of a camera that is away, and of too many kinds it is refused', async () => {
    const waiting = [get('mjpeg'), get('mjpeg')];
    await watchers(2);
    expect(await problemOf(await get('mjpeg'))).toEqual({ status: 503, code: 'VIEWER_LIMIT' });
    distribution.turn('line-1', 'off');
    await Promise.all(waiting);
    expect(await problemOf(await get('mjpeg'))).toEqual({ status: 409, code: 'DISTRIBUTION_OFF' });
    distribution.turn('line-1', 'on');
    pictures.refusal = new MediaError('UNAVAILABLE', 'no', { reason: 'TOO_MANY_PICTURE_KINDS' });
    expect(await problemOf(await get('mjpeg'))).toEqual({ status: 503, code: 'TOO_MANY_PICTURE_KINDS' });
    expect(mjpeg.viewers('line-1')).toBe(0);
    phase = 'interrupted';
    expect(await problemOf(await get('mjpeg'))).toEqual({ status: 409, code: 'NO_PUBLISHER' });
  });

  test('HEAD tells what there would be and watches nothing', async () => {
    const response = await fetch(`${base}/v1/cameras/line-1/mjpeg?token=key`, { method: 'HEAD' });
    expect([response.status, response.headers.get('content-type'), pictures.watchers.size]).toEqual([200, 'multipart/x-mixed-replace; boundary=imageflow-picture', 0]);
  });
});

describe('ws/stream', () => {
  const open = async (query = ''): Promise<WebSocket> => {
    const before = pictures.watchers.size;
    const socket = stack.adopt(new WebSocket(`${base.replace('http', 'ws')}/ws/stream/line-1?token=key${query}`), (each) => { each.terminate(); });
    await once(socket, 'open');
    await watchers(before + 1);
    return socket;
  };
  const next = async (socket: WebSocket): Promise<Record<string, unknown>> => JSON.parse(String(((await once(socket, 'message')) as unknown[])[0])) as Record<string, unknown>;
  const control = (socket: WebSocket, message: object): void => { socket.send(JSON.stringify({ type: 'stream_control', camera_id: 'line-1', ...message })); };

  test('[DIS-3] a picture comes with what was found in it', async () => {
    const socket = await open('&fps=5&width=640');
    const message = next(socket);
    detections.publish({ detector: 'detect', result: resultOf(0), byteLength: 1, randomAccess: true });
    pictures.show(pictureOf(1));
    detections.publish({ detector: 'detect', result: resultOf(1), byteLength: 1, randomAccess: true });
    expect(await message).toMatchObject({ type: 'video_frame', camera_id: 'line-1', frame_data: Buffer.from('JPEG 1').toString('base64'), detections: [{ class: '1' }], processing_stats: { total_detections: 1, fps: 0 } });
    expect([...pictures.watchers]).toMatchObject([{ spec: { width: 640 }, fps: 5 }]);
    expect(frames.viewers('line-1')).toBe(1);
  });

  test('[DIS-3] with binary=true a message is bytes', async () => {
    const socket = await open('&binary=true');
    const message = once(socket, 'message') as Promise<[Buffer, boolean]>;
    pictures.show(pictureOf(1));
    const [bytes, binary] = await message;
    expect([binary, bytes.subarray(4 + bytes.readUInt32BE(0)).toString()]).toEqual([true, 'JPEG 1']);
  });

  test.each(['stop', 'pause'])('[DIS-3] %s ends the pictures, and nothing is decoded for it; start begins them again', async (action) => {
    const socket = await open();
    control(socket, { action });
    await watchers(0);
    control(socket, { action: 'start', processing_pipeline: 'detect' });
    await watchers(1);
    const message = next(socket);
    pictures.show(pictureOf(2));
    expect(await message).toMatchObject({ type: 'video_frame' });
  });

  test.each([
    ['no stream_control', { type: 'hello' }, 'INVALID_ARGUMENT'], ['another camera\'s', { type: 'stream_control', action: 'start', camera_id: 'line-2' }, 'INVALID_ARGUMENT'], ['no action', { type: 'stream_control' }, 'INVALID_ARGUMENT'],
  ])('a message that is %s is answered with an error, and the pictures go on', async (_name, message, code) => {
    const socket = await open();
    const answer = next(socket);
    socket.send(JSON.stringify(message));
    expect(await answer).toMatchObject({ type: 'error', error: { code } });
    expect(pictures.watchers.size).toBe(1);
  });

  test('a start that cannot be is answered with the reason', async () => {
    const socket = await open();
    control(socket, { action: 'stop' });
    await watchers(0);
    pictures.refusal = new MediaError('UNAVAILABLE', 'Too many.', { reason: 'TOO_MANY_PICTURE_KINDS' });
    const answer = next(socket);
    control(socket, { action: 'start' });
    expect(await answer).toMatchObject({ type: 'error', error: { code: 'TOO_MANY_PICTURE_KINDS', message: 'Too many.' } });
  });

  test('[2.6] more than a hundred messages in a minute end the socket with 4429', async () => {
    const socket = await open();
    const closed = once(socket, 'close');
    for (let i = 0; i <= 100; i++) control(socket, { action: 'start' });
    expect((await closed)[0]).toBe(4429);
    await watchers(0);
  });

  test('what is said right behind the credential is heard', async () => {
    const socket = stack.adopt(new WebSocket(`${base.replace('http', 'ws')}/ws/stream/line-1`), (each) => { each.terminate(); });
    await once(socket, 'open');
    const answer = next(socket);
    socket.send(JSON.stringify({ type: 'auth', token: 'key' }));
    control(socket, { action: 'start', camera_id: 'line-2' });
    expect(await answer).toMatchObject({ type: 'error' });
  });

  test('a query that says nothing sensible is answered 400 instead of an upgrade', async () => {
    const socket = new WebSocket(`${base.replace('http', 'ws')}/ws/stream/line-1?token=key&fps=1e9`);
    const [error] = (await once(socket, 'error')) as [Error];
    expect(error.message).toContain('400');
  });

  test.each([['the credential is revoked', () => { revoke('k1'); }, 4401], ['the camera is shown to nobody', () => { distribution.turn('line-1', 'off'); }, 4409], ['the camera is removed', () => { remove(); }, 4404]])('[ING-6] ends when %s', async (_name, happens, code) => {
    const socket = await open();
    const closed = once(socket, 'close');
    happens();
    expect((await closed)[0]).toBe(code);
    expect(pictures.watchers.size).toBe(0);
  });

  test('[EXT-6] a socket that takes nothing has one picture on its way and one waiting; the others are counted, and after half a minute it is closed', async () => {
    const slow = await open();
    slow.pause();
    const fast = await open();
    for (let seq = 1; seq <= 5; seq++) {
      const message = once(fast, 'message');
      pictures.show(pictureOf(seq, Buffer.alloc(8 << 20)));
      await message;
    }
    expect(await dropped('ws-stream')).toBe(3);
    clock.advance(30_000);
    await watchers(1);
  });
});
