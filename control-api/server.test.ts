import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { noDescriptorLeft, watchListeningServers } from '../platform/testing/listening-servers.ts';
import { startApi } from './testing/harness.ts';
import { rawExchange } from './testing/raw-http.ts';

test('a connection that cannot be accepted is no end of the server, and there is a limit to how many are', async () => {
  using watched = watchListeningServers();
  await using h = await startApi();
  const [server] = watched.servers;
  expect(server?.maxConnections).toBe(8192);
  server?.emit('error', noDescriptorLeft());
  expect((await h.call('GET', '/v1/health')).status).toBe(200);
});

test('what never becomes a request is answered by a problem, and the connection ends', async () => {
  await using h = await startApi();
  for (const [bytes, status, code] of [
    [`GET /v1/health HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(40_000)}\r\n\r\n`, 431, 'HEADERS_TOO_LARGE'], ['hello\r\n\r\n', 400, 'MALFORMED_REQUEST'],
  ] as const) {
    const answer = await rawExchange(h.base, bytes);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${String(status)} [^]*content-type: application/problem\\+json`));
    expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))).toMatchObject({ status, code });
  }
  expect((await h.call('GET', '/v1/health')).status).toBe(200);
});

test('a request that does not arrive in time is 408', async () => {
  using watched = watchListeningServers();
  await using _h = await startApi();
  const socket = new PassThrough();
  watched.servers[0]?.emit('clientError', Object.assign(new Error('timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), socket);
  expect(await text(socket)).toMatch(/^HTTP\/1\.1 408 Request Timeout[^]*application\/problem\+json[^]*"code":"REQUEST_TIMEOUT"/);
});

test('a server bound to an IPv6 address tells URLs that lead to it', async () => {
  await using h = await startApi({ config: { bind: '::1', edge: { bind: '127.0.0.1' } } });
  expect(h.base).toMatch(/^http:\/\/\[::1\]:\d+$/);
  const grpc = await h.api.listenGrpc();
  const { body } = await h.call<{ urls: Record<string, string> }>('GET', '/v1/health');
  expect(body.urls).toEqual({ http: h.base, edge: 'http://127.0.0.1:8081', rtsp: 'rtsp://[::1]:8554', grpc: `grpc://[::1]:${String(grpc)}` });
});
