import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { noDescriptorLeft, watchListeningServers } from '../../platform/testing/listening-servers.ts';
import { readBody } from './body.ts';
import { MediaHttpServer } from './media-http-server.ts';

let server: MediaHttpServer;
let base: string;

const start = async (origins: readonly string[]): Promise<void> => {
  server = new MediaHttpServer({ clock: systemClock, logger: silentLogger(), metrics: createMetrics('test'), origins, health: () => ({ status: 'ok' }) });
  await server.listen(0, '127.0.0.1');
  base = `http://127.0.0.1:${String(server.port)}`;
};
beforeEach(() => start(['*']));
afterEach(() => server[Symbol.asyncDispose]());

/** Sends bytes as they are; resolves with everything that came back until the server hung up. */
const raw = (text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    let got = '';
    const socket = connect(server.port, '127.0.0.1', () => socket.write(text));
    socket.on('data', (data) => { got += data.toString('latin1'); });
    socket.on('close', () => { resolve(got); });
    socket.on('error', reject);
  });

test('[0.3] health answers 200 with the injected state, metrics with the registry', async () => {
  const health = await fetch(`${base}/v1/health`);
  expect([health.status, await health.json()]).toEqual([200, { status: 'ok' }]);
  const metrics = await (await fetch(`${base}/metrics`)).text();
  expect(metrics).toMatch(/imageflow_http_request_seconds_count\{.*route="\/v1\/health",status="200"/);
});

test('a handler gets segments, query and credential', async () => {
  server.route('GET', '/hls/:camera/:file', ({ params, query, credential, response }) => { response.end(JSON.stringify([params, query.get('q'), credential])); });
  const answer = await fetch(`${base}/hls/line-1/a%2Fb?q=1&token=abc`);
  expect(await answer.json()).toEqual([{ camera: 'line-1', file: 'a/b' }, '1', 'abc']);
  const bearer = await fetch(`${base}/hls/line-1/x?token=abc`, { headers: { authorization: 'bEaReR  k1' } });
  expect(await bearer.json()).toEqual([{ camera: 'line-1', file: 'x' }, null, 'k1']);
});

test('[W11] a thrown MediaError is a problem with the right status and headers, and the connection goes on', async () => {
  server.route('POST', '/whip/:camera', () => { throw new MediaError('UNAUTHENTICATED', 'No.'); });
  const answer = await fetch(`${base}/whip/a?token=secret`, { method: 'POST', body: 'x'.repeat(100_000) });
  expect(answer.status).toBe(401);
  expect(answer.headers.get('www-authenticate')).toContain('Bearer');
  const body = await answer.text();
  expect(JSON.parse(body)).toMatchObject({ status: 401, instance: '/whip/a', code: 'UNAUTHENTICATED' });
  expect(body).not.toContain('secret');
});

test('a bug in a handler is a 500 without a stack; after the headers it cuts the answer', async () => {
  server.route('GET', '/early', () => { throw new Error('hidden'); });
  server.route('GET', '/late', ({ response }) => { response.writeHead(200, { 'content-length': '10' }); response.write('half'); throw new Error('hidden'); });
  const early = await fetch(`${base}/early`);
  expect([early.status, (await early.text()).includes('hidden')]).toEqual([500, false]);
  await expect(fetch(`${base}/late`).then((a) => a.text())).rejects.toThrow();
});

test('unknown paths are 404, known ones with another method 405 with Allow', async () => {
  expect((await fetch(`${base}/nothing`)).status).toBe(404);
  const answer = await fetch(`${base}/v1/health`, { method: 'DELETE' });
  expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD, OPTIONS']);
});

test('[W6] a preflight is answered for any origin, and a plain OPTIONS says what POST takes', async () => {
  server.route('POST', '/whip/:camera', () => undefined);
  const preflight = await fetch(`${base}/whip/a`, { method: 'OPTIONS', headers: { origin: 'https://page.example', 'access-control-request-method': 'POST' } });
  expect(preflight.status).toBe(200);
  expect(preflight.headers.get('access-control-allow-origin')).toBe('*');
  expect(preflight.headers.get('access-control-allow-methods')).toContain('POST');
  expect(preflight.headers.get('access-control-allow-headers')).toMatch(/Authorization, Content-Type, If-Match/);
  expect(preflight.headers.get('access-control-expose-headers')).toMatch(/Location, ETag, Link, Retry-After/);
  expect(preflight.headers.get('link')).toBeNull();
  const plain = await fetch(`${base}/whip/a`, { method: 'OPTIONS' });
  expect([plain.status, plain.headers.get('accept-post')]).toEqual([200, 'application/sdp']);
});

test('only the configured origins are allowed, and errors carry the header too', async () => {
  await server[Symbol.asyncDispose]();
  await start(['https://good.example']);
  const good = await fetch(`${base}/nothing`, { headers: { origin: 'https://good.example' } });
  expect([good.headers.get('access-control-allow-origin'), good.headers.get('vary')]).toEqual(['https://good.example', 'Origin']);
  const bad = await fetch(`${base}/v1/health`, { headers: { origin: 'https://bad.example' } });
  expect(bad.headers.get('access-control-allow-origin')).toBeNull();
});

test('a body of another type is 415, one over the limit 413, whether its length is told or not', async () => {
  server.route('POST', '/sdp', async ({ request, response }) => { response.end(await readBody(request, 'application/sdp', 1000)); });
  const post = async (type: string, body: BodyInit): Promise<number> =>
    (await fetch(`${base}/sdp`, { method: 'POST', headers: { 'content-type': type }, body, duplex: 'half' } as RequestInit)).status;
  expect(await post('text/plain', 'v=0')).toBe(415);
  expect(await post('Application/SDP; charset=utf-8', 'v=0')).toBe(200);
  expect(await post('application/sdp', 'x'.repeat(1001))).toBe(413);
  expect(await post('application/sdp', new Blob(['x'.repeat(1001)]).stream())).toBe(413);
});

test('the signal aborts when the client hangs up', async () => {
  const reached = Promise.withResolvers<AbortSignal>();
  server.route('GET', '/wait', ({ signal }) => { reached.resolve(signal); return new Promise(() => undefined); });
  const hanging = httpRequest(`${base}/wait`);
  hanging.on('error', () => undefined);
  hanging.end();
  const signal = await reached.promise;
  const aborted = new Promise((resolve) => { signal.addEventListener('abort', resolve); });
  hanging.destroy();
  await aborted;
  expect(signal.aborted).toBe(true);
});

test('an upgrade shows its token as a sub-protocol; a refused one gets a problem, an unknown path 404', async () => {
  const shown = Promise.withResolvers<string | null>();
  server.upgrade('/ws/stream/:camera', ({ credential }) => { shown.resolve(credential); throw new MediaError('PERMISSION_DENIED', 'No.'); });
  const upgrade = (path: string, extra = ''): Promise<string> => raw(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n${extra}\r\n`);
  expect(await upgrade('/ws/stream/a', 'sec-websocket-protocol: chat, bearer.k-1\r\n')).toMatch(/^HTTP\/1.1 403 Forbidden\r\n[^]*"code":"PERMISSION_DENIED"/);
  expect(await shown.promise).toBe('k-1');
  expect(await upgrade('/ws/nothing')).toMatch(/^HTTP\/1.1 404 /);
  expect((await fetch(`${base}/ws/stream/a`)).status).toBe(426);
});

test('an offer of h2c is ignored, not an upgrade', async () => {
  const answer = await raw('GET /v1/health HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: h2c\r\n\r\n');
  expect(answer).toMatch(/^HTTP\/1.1 200 /);
});

test('bytes that are no HTTP and headers without end are refused, and the server lives', async () => {
  expect(await raw('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n')).toMatch(/^HTTP\/1.1 400 /);
  expect(await raw(`GET /v1/health HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`)).toMatch(/^HTTP\/1.1 431 [^]*"code":"HEADERS_TOO_LARGE"/);
  expect((await fetch(`${base}/v1/health`)).status).toBe(200);
});

test('a connection that cannot be accepted is no end of the server; a request that does not arrive in time is 408', async () => {
  using watched = watchListeningServers();
  await using other = new MediaHttpServer({ clock: systemClock, logger: silentLogger(), metrics: createMetrics('test3'), origins: ['*'], health: () => ({}) });
  await other.listen(0, '127.0.0.1');
  watched.servers[0]?.emit('error', noDescriptorLeft());
  expect((await fetch(`http://127.0.0.1:${String(other.port)}/v1/health`)).status).toBe(200);
  const socket = new PassThrough();
  watched.servers[0]?.emit('clientError', Object.assign(new Error('timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), socket);
  expect(await text(socket)).toMatch(/^HTTP\/1\.1 408 Request Timeout[^]*application\/problem\+json[^]*"code":"REQUEST_TIMEOUT"/);
});

test('disposing ends keep-alive, waiting and upgraded connections', async () => {
  const upgraded = Promise.withResolvers<undefined>();
  server.upgrade('/ws', ({ socket }) => { socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n'); upgraded.resolve(undefined); });
  const ws = raw('GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n').catch(() => 'reset');
  await upgraded.promise;
  const idle = raw('GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n').catch(() => 'reset');
  await fetch(`${base}/v1/health`);
  await server[Symbol.asyncDispose]();
  await Promise.all([ws, idle]);
});

test('a port that is taken rejects with a message that names it', async () => {
  const second = new MediaHttpServer({ clock: systemClock, logger: silentLogger(), metrics: createMetrics('test2'), origins: ['*'], health: () => ({}) });
  await expect(second.listen(server.port, '127.0.0.1')).rejects.toThrow(`127.0.0.1:${String(server.port)}`);
});
