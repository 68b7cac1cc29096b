import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FOREIGN_KEY, KEY } from './rtsp-harness.ts';
import { startWhip } from './whip-harness.ts';
import type { WhipHarness } from './whip-harness.ts';

const OFFER = readFileSync(new URL('../fixtures/sdp/chromium-publish.sdp', import.meta.url), 'utf8').replaceAll(/\r?\n/g, '\r\n');

let edge: WhipHarness;
beforeEach(async () => { edge = await startWhip({ maxSessions: 1 }); });
afterEach(() => edge[Symbol.asyncDispose]());

const request = (method: string, path: string, headers: Record<string, string> = {}, body?: string): Promise<Response> =>
  fetch(edge.base + path, { method, headers: { authorization: `Bearer ${KEY}`, ...headers }, ...(body === undefined ? {} : { body }) });
const post = (body: string, headers: Record<string, string> = {}, path = '/whip/line-1'): Promise<Response> => request('POST', path, { 'content-type': 'application/sdp', ...headers }, body);
const publish = async (): Promise<{ location: string; etag: string }> => {
  const answer = await post(OFFER);
  expect(answer.status).toBe(201);
  return { location: answer.headers.get('location') ?? '', etag: answer.headers.get('etag') ?? '' };
};
const FRAGMENT = `a=ice-ufrag:RWdI\r\na=ice-pwd:H9WqN8AA+gNzTpfNRdjXsSFq\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 UDP 2122194687 192.0.2.9 5000 typ host\r\na=candidate:1 1 TCP 1 broken\r\na=end-of-candidates\r\n`;
const TRICKLE = { 'content-type': 'application/trickle-ice-sdpfrag' };

test('[W1] [W4] a publisher gets 201 with the whole answer: passive, recvonly, every candidate, an unguessable Location and a strong ETag', async () => {
  const answer = await post(OFFER);
  expect(answer.status).toBe(201);
  expect(answer.headers.get('content-type')).toBe('application/sdp');
  expect(answer.headers.get('location')).toMatch(/^\/whip\/line-1\/[0-9a-f-]{36}$/);
  expect(answer.headers.get('etag')).toMatch(/^"[^"]+"$/);
  const sdp = await answer.text();
  expect(sdp).toMatch(/a=setup:passive/);
  expect(sdp.match(/a=recvonly/g)).toHaveLength(2);
  expect(sdp).toMatch(new RegExp(`a=candidate:\\S+ 1 UDP \\d+ 127\\.0\\.0\\.1 ${String(edge.engine.port)} typ host`));
  expect(sdp).toMatch(/a=rtpmap:\d+ H264\/90000/);
  expect(sdp).toMatch(/a=rtcp-fb:\d+ transport-cc/);
});

test('[W1] [W3] what cannot be published is refused: 415, 400, 422, 413', async () => {
  expect((await post(OFFER, { 'content-type': 'text/plain' })).status).toBe(415);
  for (const bad of ['', 'v=0', 'garbage', OFFER.slice(0, 700), OFFER.replaceAll(/a=fingerprint.*\r\n/g, ''), OFFER.replaceAll(/a=ice-pwd.*\r\n/g, 'a=ice-pwd:x\r\n')]) expect((await post(bad)).status, bad.slice(0, 40)).toBe(400);
  for (const direction of ['recvonly', 'inactive']) expect((await post(OFFER.replaceAll('a=sendonly', `a=${direction}`))).status).toBe(422);
  const noCodec = await post(OFFER.replaceAll(/ (H264|VP8)\//g, ' X/'));
  expect([noCodec.status, (await noCodec.json() as { code: string }).code]).toEqual([422, 'NO_USABLE_CODEC']);
  expect((await post(`${OFFER}${'a=x\r\n'.repeat(20_000)}`)).status).toBe(413);
  expect(edge.engine.peerCount).toBe(0);
});

test('[ING-6] a key that is revoked while its offer is on the way opens nothing', async () => {
  const { authorizer } = edge;
  const authorize = authorizer.authorize.bind(authorizer);
  let asked = 0;
  authorizer.authorize = (credential, action, camera) => (++asked === 1 ? authorize(credential, action, camera) : authorize('revoked', action, camera));
  const answer = await post(OFFER);
  expect([answer.status, answer.headers.get('content-type')]).toEqual([401, 'application/problem+json']);
  await expect.poll(() => edge.engine.peerCount).toBe(0);
  expect(edge.endpoint.sessionCount).toBe(0);
});

test('[W11] no credential, a wrong one and a foreign one are refused before the body is looked at', async () => {
  const none = await fetch(`${edge.base}/whip/line-1`, { method: 'POST', body: 'x' });
  expect([none.status, none.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="imageflow"']);
  expect((await post('x', { authorization: 'Bearer wrong' })).status).toBe(401);
  expect((await post('x', { authorization: `Bearer ${FOREIGN_KEY}` })).status).toBe(403);
});

test('[W5] [W7] GET and HEAD answer without content; DELETE ends, then everything is 404', async () => {
  const { location } = await publish();
  for (const method of ['GET', 'HEAD']) for (const path of ['/whip/line-1', location]) {
    const answer = await request(method, path);
    expect([answer.status, await answer.text()]).toEqual([204, '']);
  }
  expect((await request('DELETE', location, { authorization: 'Bearer wrong' })).status).toBe(401);
  expect((await request('DELETE', location, { 'if-match': '"stale"' })).status).toBe(200);
  for (const method of ['DELETE', 'GET', 'PATCH']) expect((await request(method, location, TRICKLE, method === 'PATCH' ? FRAGMENT : undefined)).status).toBe(404);
});

test('[W8] [W9] PATCH takes candidates under the right ETag only, and refuses restarts', async () => {
  const { location, etag } = await publish();
  const patch = async (headers: Record<string, string>, body = FRAGMENT): Promise<number> => (await request('PATCH', location, headers, body)).status;
  expect(await patch({ 'content-type': 'application/sdp', 'if-match': etag })).toBe(415);
  expect(await patch(TRICKLE)).toBe(428);
  expect(await patch({ ...TRICKLE, 'if-match': '"other"' })).toBe(412);
  expect(await patch({ ...TRICKLE, 'if-match': etag })).toBe(204);
  expect(await patch({ ...TRICKLE, 'if-match': '*' })).toBe(422);
  expect(await patch({ ...TRICKLE, 'if-match': etag }, FRAGMENT.replace('RWdI', 'other'))).toBe(422);
  expect(await patch({ ...TRICKLE, 'if-match': etag }, 'garbage')).toBe(400);
});

test('[W12] [ING-11] a publisher beyond the limit gets 503 with Retry-After, one that takes its own camera over does not', async () => {
  await publish();
  await publish();
  expect(edge.endpoint.sessionCount).toBe(1);
  edge.registry.add({ id: 'line-2' });
  const full = await post(OFFER, { authorization: `Bearer ${FOREIGN_KEY}` }, '/whip/line-2');
  expect([full.status, full.headers.get('retry-after')]).toEqual([503, '30']);
});

test('an answer nobody came back for leaves nothing behind: random bytes on the port, then dispose', async () => {
  await publish();
  const socket = createSocket('udp4');
  for (let i = 0; i < 200; i++) await new Promise((resolve) => { socket.send(randomBytes(1 + (i * 7) % 1200), edge.engine.port, '127.0.0.1', resolve); });
  socket.close();
  expect((await fetch(`${edge.base}/v1/health`)).status).toBe(200);
  edge.endpoint[Symbol.dispose]();
  expect(edge.endpoint.sessionCount).toBe(0);
  expect(edge.stream.session?.phase).toBe('interrupted');
});
