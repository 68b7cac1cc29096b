import { once } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { MediaError } from '../../core/errors.ts';
import { Hub } from '../../core/hub.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import type { DetectionUnit } from '../../extractor/port.ts';
import type { CameraStream } from '../../ingest/port.ts';
import { FakeDistribution } from '../../media-control/testing-distribution.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { MediaHttpServer } from '../../transport/http/media-http-server.ts';
import { FakeCamera } from '../webrtc/testing.ts';
import { DetectionsSocket } from './detections-socket.ts';

let clock: FakeClock;
let server: MediaHttpServer;
let detections: Hub<DetectionUnit>;
let sockets: DetectionsSocket;
let revoked: (id: string) => void;
let removed: (camera: string) => void;
let streams: Map<string, CameraStream>;
let clients: WebSocket[];
let admitted: () => void;
let distribution: FakeDistribution;

beforeEach(async () => {
  clock = new FakeClock();
  detections = new Hub();
  clients = [];
  distribution = new FakeDistribution();
  streams = new Map<string, CameraStream>([['line-1', new FakeCamera('line-1', clock)]]);
  admitted = () => undefined;
  const metrics = createMetrics('test');
  const none = { [Symbol.dispose]: () => undefined };
  server = new MediaHttpServer({ clock, logger: silentLogger(), metrics, origins: ['*'], health: () => ({}) });
  sockets = new DetectionsSocket({
    router: server, distribution, clock, metrics, logger: silentLogger(), socketsPerCamera: 2,
    authorizer: {
      authorize: (credential, _action, camera) => {
        queueMicrotask(() => { setImmediate(admitted); });
        if (credential === 'key') return Promise.resolve({ kind: 'key', id: 'k1', camera, grants: 'view' });
        return Promise.reject(new MediaError(credential === 'foreign' ? 'PERMISSION_DENIED' : 'UNAUTHENTICATED', 'no'));
      },
      digestHa1s: () => [],
      onRevoked: (listener) => { revoked = listener; return none; },
    },
    streams: { get: (id) => streams.get(id), list: () => [...streams.values()], onStream: () => none, onRemoved: (listener) => { removed = listener; return none; } },
    detections: { detections: () => detections, stats: () => null },
  });
  await server.listen(0, '127.0.0.1');
});
afterEach(async () => {
  for (const client of clients) client.terminate();
  sockets[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
});

const connect = (query = '', protocols: string[] = [], camera = 'line-1'): WebSocket => {
  const client = new WebSocket(`ws://127.0.0.1:${String(server.port)}/v1/cameras/${camera}/detections/live${query}`, protocols);
  clients.push(client);
  return client;
};
const closeCode = async (client: WebSocket): Promise<unknown> => ((await once(client, 'close')) as unknown[])[0];
const receiving = async (query: string, protocols: string[] = []): Promise<WebSocket> => {
  const ready = new Promise<void>((resolve) => { admitted = resolve; });
  const client = connect(query, protocols);
  await Promise.all([once(client, 'open'), ready]);
  return client;
};
const result = (seq: number): DetectionUnit => ({
  byteLength: 1, randomAccess: true, detector: 'detect',
  result: { frame: { stream: 'line-1', epoch: 7, rtpTs: 5, captureNtp: null, seq }, capturedAt: 0, model: 'm', modelDigest: 'd', inferenceMs: 1, width: 2, height: 2, detections: [] },
});
const next = async (client: WebSocket): Promise<{ sequence: number; type: string }> => JSON.parse(String(((await once(client, 'message')) as unknown[])[0])) as { sequence: number; type: string };

test.each([['?token=', '?token=key', []], ['the sub-protocol', '', ['detections.v1', 'bearer.key']]])('[0.4] a socket with its credential in %s gets one message per result', async (_name, query, protocols) => {
  const client = await receiving(query, [...protocols]);
  expect(sockets.viewers('line-1')).toBe(1);
  const message = next(client);
  detections.publish(result(3));
  expect(await message).toMatchObject({ type: 'detections', camera: 'line-1', epoch: 7, sequence: 3, detections: [] });
  expect(client.protocol).toBe(protocols[0] ?? '');
});

test('the first message may carry the credential', async () => {
  const client = connect();
  await once(client, 'open');
  const ready = new Promise<void>((resolve) => { admitted = resolve; });
  client.send(JSON.stringify({ type: 'auth', token: 'key' }));
  await ready;
  const message = next(client);
  detections.publish(result(1));
  expect((await message).sequence).toBe(1);
});

test('no credential within 5 s: 4401', async () => {
  const client = connect();
  await once(client, 'open');
  clock.advance(5_000);
  expect(await closeCode(client)).toBe(4401);
});

test.each([['a wrong credential', '?token=wrong', 'line-1', 4401], ["another camera's", '?token=foreign', 'line-1', 4403], ['an unknown camera', '?token=key', 'none', 4404]])('%s: closed with its own code', async (_name, query, camera, code) => {
  expect(await closeCode(connect(query, [], camera))).toBe(code);
});

test.each([['text that is no JSON', 'hello'], ['another message', '{"type":"hi"}'], ['an empty token', '{"type":"auth","token":""}'], ['bytes', Buffer.from([0xff, 0xfe])]])('first message %s: 4401', async (_name, message) => {
  const client = connect();
  await once(client, 'open');
  client.send(message);
  expect(await closeCode(client)).toBe(4401);
});

test('more sockets than the camera may have: 4429', async () => {
  await receiving('?token=key');
  await receiving('?token=key');
  expect(await closeCode(connect('?token=key'))).toBe(4429);
});

test('sockets without a credential take no viewer\'s place', async () => {
  await Promise.all(Array.from({ length: 5 }, async () => { await once(connect(), 'open'); }));
  await receiving('?token=key');
  await receiving('?token=key');
});

test('a revoked credential and a removed camera close the socket, and nobody listens to the camera any more', async () => {
  const client = await receiving('?token=key');
  expect(detections.branchCount).toBe(1);
  revoked('k1');
  expect(await closeCode(client)).toBe(4401);
  expect(detections.branchCount).toBe(0);
  const second = await receiving('?token=key');
  removed('line-1');
  expect(await closeCode(second)).toBe(4404);
});

test('[SD-53] distribution switched off closes the sockets with 4409 and says why, new ones too, and nobody listens to the camera any more', async () => {
  const client = await receiving('?token=key');
  const stranger = connect();
  await once(stranger, 'open');
  distribution.turn('line-1', 'off');
  const [code, reason] = (await once(client, 'close')) as [number, Buffer];
  expect([code, reason.toString()]).toEqual([4409, 'The live view of this camera has been switched off by an operator.']);
  expect([detections.branchCount, sockets.viewers('line-1')]).toEqual([0, 0]);
  expect(await closeCode(connect('?token=key'))).toBe(4409);
  expect(await closeCode(connect('?token=wrong'))).toBe(4401);
  // Who has shown nothing yet is told nothing.
  expect(stranger.readyState).toBe(WebSocket.OPEN);
  distribution.turn('line-1', 'on');
  await receiving('?token=key');
  expect(detections.branchCount).toBe(1);
});

test('a client that answers pings stays, one that does not is cut at the second', async () => {
  const client = await receiving('?token=key');
  const pinged = once(client, 'ping');
  clock.advance(20_000);
  await pinged;
  client.pause();
  const gone = closeCode(client);
  clock.advance(20_000);
  clock.advance(20_000);
  client.resume();
  expect(await gone).toBe(1006);
});

test('disposing closes the sockets with 1001', async () => {
  const client = await receiving('?token=key');
  const gone = closeCode(client);
  sockets[Symbol.dispose]();
  expect(await gone).toBe(1001);
});
