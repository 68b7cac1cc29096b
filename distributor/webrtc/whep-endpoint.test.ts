import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MediaError } from '../../core/errors.ts';
import { Hub } from '../../core/hub.ts';
import { parseSdp } from '../../core/sdp/parse.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import type { Authorizer } from '../../media-control/port.ts';
import { FakeDistribution } from '../../media-control/testing-distribution.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { readBody } from '../../transport/http/body.ts';
import { MediaHttpServer } from '../../transport/http/media-http-server.ts';
import { FakeCamera, FakeEngine, H264 } from './testing.ts';
import { WhepEgress } from './whep-egress.ts';
import { playOnly, serveWhep } from './whep-endpoint.ts';

const OFFER = readFileSync(new URL('../../test/fixtures/sdp/chromium-play.sdp', import.meta.url), 'utf8');
const PUBLISH = readFileSync(new URL('../../test/fixtures/sdp/chromium-publish.sdp', import.meta.url), 'utf8');
const UUID = '0b7e0000-0000-4000-8000-000000000001';

let server: MediaHttpServer;
let base: string;
let camera: FakeCamera;
let engine: FakeEngine;
let published: string[];
/** Credentials are good so often. */
let goodFor: number;

const authorizer: Authorizer = {
  authorize: (credential, action, id) => {
    if (credential === null || credential === 'wrong' || goodFor-- <= 0) return Promise.reject(new MediaError('UNAUTHENTICATED', 'no'));
    if (credential !== 'key') return Promise.reject(new MediaError('PERMISSION_DENIED', 'not this one'));
    return Promise.resolve({ kind: 'key', id: `${action}-${id}`, camera: id, grants: 'view' });
  },
  digestHa1s: () => [],
  onRevoked: () => ({ [Symbol.dispose]: () => undefined }),
};

let distribution: FakeDistribution;
beforeEach(async () => {
  const clock = new FakeClock();
  const metrics = createMetrics('test');
  const none = { [Symbol.dispose]: () => undefined };
  camera = new FakeCamera('line-1', clock);
  engine = new FakeEngine();
  published = [];
  goodFor = Infinity;
  server = new MediaHttpServer({ clock, logger: silentLogger(), metrics, origins: ['*'], health: () => ({}) });
  distribution = new FakeDistribution();
  const egress = new WhepEgress({
    protocol: 'webrtc',
    distribution, engine, clock, metrics, logger: silentLogger(), viewersPerCamera: 2, authorizer, detections: { detections: () => new Hub(), stats: () => null },
    streams: { get: (id) => (id === 'line-1' ? camera : undefined), list: () => [camera], onStream: () => none, onRemoved: () => none },
    random: () => 77, newId: () => UUID.slice(0, -1) + String(engine.peers.length),
  });
  serveWhep({
    suffix: '',
    router: server, authorizer, egress, readBody,
    iceServers: [{ urls: 'turn:turn.example:3478?transport=udp', username: 'u', credential: 'c' }, { urls: 'stun:stun.example' }],
    publish: ({ response, credential }, offer) => { published.push(`${String(credential)} ${offer.slice(0, 3)}`); response.writeHead(201).end(); return Promise.resolve(); },
  });
  serveWhep({ suffix: '/annotated', router: server, authorizer, egress, readBody, iceServers: [], publish: () => Promise.reject(playOnly()) });
  await server.listen(0, '127.0.0.1');
  base = `http://127.0.0.1:${String(server.port)}`;
});
afterEach(() => server[Symbol.asyncDispose]());

const post = (body = OFFER, headers: Record<string, string> = {}, path = '/whep/line-1') =>
  fetch(base + path, { method: 'POST', headers: { 'content-type': 'application/sdp', 'authorization': 'Bearer key', ...headers }, body });
const patch = (location: string, headers: Record<string, string>, body = 'a=ice-ufrag:x\r\n') =>
  fetch(base + location, { method: 'PATCH', headers: { 'authorization': 'Bearer key', 'content-type': 'application/trickle-ice-sdpfrag', ...headers }, body });

test('[E1] an offer to play is 201 with answer, unguessable Location, strong ETag and the ICE servers', async () => {
  camera.publish(1);
  const answer = await post();
  expect(answer.status).toBe(201);
  expect(answer.headers.get('content-type')).toBe('application/sdp');
  expect(answer.headers.get('location')).toMatch(/^\/whep\/line-1\/[0-9a-f-]{36}$/);
  expect(answer.headers.get('etag')).toMatch(/^"[^"]+"$/);
  expect(answer.headers.get('link')).toBe('<turn:turn.example:3478?transport=udp>; rel="ice-server"; username="u"; credential="c"; credential-type="password", <stun:stun.example>; rel="ice-server"');
  expect(parseSdp(await answer.text()).media.map((m) => m.direction)).toEqual(['sendonly', 'inactive', 'sendrecv']);
});

test('[2.4] a credential taken back while the offer is answered lets nobody in', async () => {
  camera.publish(1);
  goodFor = 1;
  expect((await post()).status).toBe(401);
  expect(engine.peers.map(({ disposed }) => disposed)).toEqual([true]);
  goodFor = Infinity;
  expect((await fetch(`${base}/whep/line-1/${UUID}`, { method: 'DELETE', headers: { authorization: 'Bearer key' } })).status).toBe(404);
});

test('[E3] nobody publishes: 409 with Retry-After', async () => {
  const answer = await post();
  expect([answer.status, answer.headers.get('retry-after'), answer.headers.get('content-type')]).toEqual([409, '2', 'application/problem+json']);
});

test('[SD-53] distribution switched off: 409 DISTRIBUTION_OFF for viewers, whoever publishes or not; to strangers it is not told', async () => {
  camera.publish(1);
  distribution.turn('line-1', 'off');
  const answer = await post();
  expect([answer.status, answer.headers.get('retry-after'), answer.headers.get('content-type')]).toEqual([409, '5', 'application/problem+json']);
  expect(await answer.json()).toMatchObject({ code: 'DISTRIBUTION_OFF', camera: 'line-1', detail: 'The live view of this camera has been switched off by an operator.' });
  expect((await post(OFFER, { authorization: 'Bearer wrong' })).status).toBe(401);
  expect((await post(PUBLISH)).status).toBe(201);
  expect(published).toHaveLength(1);
  expect(engine.peers).toEqual([]);
  distribution.turn('line-1', 'on');
  expect((await post()).status).toBe(201);
});

test('[D-6] B-frames: 406 problem+json with code B_FRAMES', async () => {
  camera.publish(1, { video: { ...H264, reorderDepth: 2 } });
  const answer = await post();
  expect(answer.status).toBe(406);
  expect(await answer.json()).toMatchObject({ code: 'B_FRAMES', setting: 'b_frames', camera: 'line-1' });
});

test.each([
  ['no credential', {}, { authorization: '' }, 401], ['a wrong one', {}, { authorization: 'Bearer wrong' }, 401], ["another camera's key", {}, { authorization: 'Bearer other' }, 403],
  ['another media type', {}, { 'content-type': 'application/json' }, 415], ['malformed SDP', { body: 'v=0\r\nhello' }, {}, 400], ['an unknown camera', { path: '/whep/none' }, {}, 404],
  ['more than 64 KiB', { body: `v=0\r\n${'a=x\r\n'.repeat(14_000)}` }, {}, 413], ['no rtcp-mux', { body: OFFER.replaceAll('a=rtcp-mux\r\n', '') }, {}, 422],
])('%s: refused with the right status', async (_name, what: { body?: string; path?: string }, headers, status) => {
  camera.publish(1);
  const answer = await post(what.body, headers, what.path);
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
});

test('over the limit of viewers: 503 with Retry-After', async () => {
  camera.publish(1);
  expect([(await post()).status, (await post()).status]).toEqual([201, 201]);
  const answer = await post();
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5']);
});

test('[ING-2] a sendonly offer publishes', async () => {
  expect((await post(PUBLISH)).status).toBe(201);
  expect(published).toEqual(['key v=0']);
});

test('[E5] PATCH: 428 without If-Match, 412 with a stale one, 415 for another type, 422 for a restart, 204 for candidates', async () => {
  camera.publish(1);
  const created = await post();
  const location = created.headers.get('location') ?? '';
  const etag = created.headers.get('etag') ?? '';
  expect((await patch(location, {})).status).toBe(428);
  expect((await patch(location, { 'if-match': '"old"' })).status).toBe(412);
  expect((await patch(location, { 'if-match': etag, 'content-type': 'application/sdp' })).status).toBe(415);
  expect((await patch(location, { 'if-match': '*' }, '')).status).toBe(422);
  expect((await patch(location, { 'if-match': etag }, 'a=ice-ufrag:new1\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\n')).status).toBe(422);
  const ufrag = parseSdp(OFFER).media[0]?.iceUfrag ?? '';
  const trickle = await patch(location, { 'if-match': etag }, `a=ice-ufrag:${ufrag}\r\nm=video 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.9 5000 typ host\r\na=end-of-candidates\r\n`);
  expect([trickle.status, trickle.headers.get('etag')]).toEqual([204, null]);
  expect(engine.peers[0]?.candidates).toEqual(['0 candidate:1 1 udp 1 192.0.2.9 5000 typ host']);
});

test('[DIS-4] the annotated video has an address and sessions of its own below its camera, to which nobody publishes', async () => {
  camera.publish(1);
  const location = (await post(OFFER, {}, '/whep/line-1/annotated')).headers.get('location') ?? '';
  expect(location).toMatch(/^\/whep\/line-1\/annotated\/[0-9a-f-]{36}$/);
  expect((await fetch(base + location, { headers: { authorization: 'Bearer key' } })).status).toBe(204);
  expect((await fetch(base + location, { method: 'DELETE', headers: { authorization: 'Bearer key' } })).status).toBe(200);
  const refused = await post(PUBLISH, {}, '/whep/line-1/annotated');
  expect([refused.status, ((await refused.json()) as { code: string }).code, published]).toEqual([422, 'PLAY_ONLY', []]);
  expect((await fetch(`${base}/whep/line-1/annotated`)).headers.get('content-type')).toBe('application/sdp');
});

test('[W7] DELETE ends the session with 200, whatever its ETag; afterwards it is 404', async () => {
  camera.publish(1);
  const location = (await post()).headers.get('location') ?? '';
  const remove = (token = 'key') => fetch(base + location, { method: 'DELETE', headers: { authorization: `Bearer ${token}` } });
  expect((await remove('wrong')).status).toBe(401);
  expect((await fetch(base + location, { headers: { authorization: 'Bearer key' } })).status).toBe(204);
  expect((await remove()).status).toBe(200);
  expect(engine.peers[0]?.disposed).toBe(true);
  expect((await remove()).status).toBe(404);
});

test('[E4] HEAD and GET on the endpoint say application/sdp; OPTIONS accepts SDP', async () => {
  const head = await fetch(`${base}/whep/line-1`, { method: 'HEAD' });
  expect([head.status, head.headers.get('content-type')]).toEqual([200, 'application/sdp']);
  expect((await fetch(`${base}/whep/line-1`)).status).toBe(200);
  expect((await fetch(`${base}/whep/line-1`, { method: 'OPTIONS' })).headers.get('accept-post')).toBe('application/sdp');
});
