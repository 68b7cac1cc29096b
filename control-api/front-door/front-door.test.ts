import { createServer, request as httpRequest } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { startApi } from '../testing/harness.ts';
import type { Harness } from '../testing/harness.ts';
import { rawExchange } from '../testing/raw-http.ts';
import { edgeRouteOf } from './routing.ts';

describe('[D-11] the front door', () => {
  let edge: Server;
  let h: Harness;
  let seen: IncomingMessage[];
  let onRequest: (request: IncomingMessage, response: ServerResponse) => void;
  let onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  let edgeUrl: string | null;
  beforeEach(async () => {
    seen = [];
    onRequest = (_request, response) => { response.end('ok'); };
    edge = createServer((request, response) => { seen.push(request); onRequest(request, response); });
    edge.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => { seen.push(request); onUpgrade(request, socket, head); });
    await new Promise<void>((resolve) => edge.listen(0, '127.0.0.1', resolve));
    edgeUrl = `http://127.0.0.1:${String((edge.address() as AddressInfo).port)}`;
    h = await startApi({ edges: { mediaBaseUrl: () => Promise.resolve(edgeUrl) } });
  });
  afterEach(async () => {
    await h[Symbol.asyncDispose]();
    edge.closeAllConnections();
    await new Promise((resolve) => edge.close(resolve));
  });

  test('forwards media URLs with method, query, body and headers, and nothing else', async () => {
    const bodies: string[] = [];
    onRequest = (request, response) => {
      let text = '';
      request.setEncoding('utf8').on('data', (data: string) => { text += data; }).on('end', () => {
        bodies.push(text);
        response.writeHead(201, { location: `${edgeUrl ?? ''}/whip/cam/abc`, etag: '"x"', 'set-cookie': ['a=1', 'b=2'], 'content-type': 'application/sdp' }).end('answer');
      });
    };
    const answer = await h.call<string>('POST', '/whip/cam?x=1', { token: 'secret', headers: { 'content-type': 'application/sdp', 'x-forwarded-for': '6.6.6.6', 'x-request-id': 'trace-1' }, body: 'offer' });
    expect([answer.status, answer.body, answer.headers.get('location'), answer.headers.get('etag'), answer.headers.getSetCookie()]).toEqual([201, 'answer', '/whip/cam/abc', '"x"', ['a=1', 'b=2']]);
    expect(bodies).toEqual(['offer']);
    const [request] = seen;
    expect([request?.method, request?.url, request?.headers.authorization, request?.headers['x-forwarded-for'], request?.headers['x-request-id'], request?.headers['x-forwarded-proto']]).toEqual(
      ['POST', '/whip/cam?x=1', 'Bearer secret', '127.0.0.1', 'trace-1', 'http']);
    seen.length = 0;
    for (const path of ['/whep/cam', '/hls/cam/index.m3u8?token=t', '/hls/cam/1/seg.m4s', '/v1/cameras/cam/mjpeg?fps=5', '/api/v1/cameras/cam/snapshot', '/whep/cam/annotated', '/ws/stream/cam']) await h.call('GET', path);
    expect(seen.map((one) => one.url)).toEqual(['/whep/cam', '/hls/cam/index.m3u8?token=t', '/hls/cam/1/seg.m4s', '/v1/cameras/cam/mjpeg?fps=5', '/v1/cameras/cam/snapshot', '/whep/cam/annotated', '/ws/stream/cam']);
    await rawExchange(h.base, 'GET /hls/cam/hop HTTP/1.1\r\nHost: cam.example\r\nX-Hop: 1\r\nX-End: 2\r\nConnection: close, X-Hop\r\nTE: trailers\r\n\r\n');
    expect(seen.at(-1)?.headers).toMatchObject({ host: 'cam.example', 'x-end': '2', 'x-forwarded-host': 'cam.example' });
    expect(seen.at(-1)?.headers).not.toHaveProperty('x-hop');
    expect(seen.at(-1)?.headers).not.toHaveProperty('te');
    seen.length = 0;
    for (const path of ['/hls/UPPER/x', '/v1/edge/cameras/cam/stats', '/v1/cameras/cam', '/hls', '/whip/', '/metrics']) await h.call('GET', path);
    expect(await rawExchange(h.base, 'GET /hls/cam/../../v1/edge/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')).toMatch(/^HTTP\/1\.1 404/);
    expect(seen).toEqual([]);
  });

  test('[SD-52] forwards uploads, marks what they say of their range, and refuses what they say wrongly before anything is sent', async () => {
    const report = { camera: 'cam', from: '2025-06-15T08:30:00.000Z', to: '2025-06-15T08:30:10.000Z', segments: 1 };
    onRequest = (request, response) => { request.resume().once('end', () => { response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify(report)); }); };
    const { access_token: token } = await h.login();
    await h.call('POST', '/v1/cameras', { token, json: { id: 'cam', name: 'cam' } });
    const send = (query: string) => h.call('POST', `/api/v1/recordings/cam/uploads?start=2025-06-15T08:30:00Z${query}`, { token, headers: { 'content-type': 'video/mp4' }, body: 'mp4' });
    expect(await send('')).toMatchObject({ status: 201, body: report });
    expect(seen.at(-1)?.url).toBe('/v1/recordings/cam/uploads?start=2025-06-15T08:30:00Z');
    const marked = await send('&product_id=P-1&tags=a,b&archive=false');
    expect(marked).toMatchObject({ status: 201, body: { ...report, mark: { kind: 'link', from: report.from, to: report.to, product_id: 'P-1', tags: ['a', 'b'], archive: false, created_by: 'admin' } } });
    expect((await send('&product_id=P-1&tags=b,a&archive=false')).body).toEqual(marked.body);
    expect((await send('&product_id=P-2')).body).not.toEqual(marked.body);
    const requests = seen.length;
    for (const wrong of ['&monthly_sequence=x', '&archive=perhaps', '&production_date=monday', `&title=${'x'.repeat(201)}`]) expect((await send(wrong)).status).toBe(400);
    expect(seen).toHaveLength(requests);
  });

  test('an answer that comes before the body is whole leaves no connection on which the next request would be taken for the rest of it', async () => {
    onRequest = (_request, response) => { response.writeHead(415).end('no'); };
    for (let i = 0; i < 5; i++) {
      expect((await h.call('POST', '/whip/cam', { body: 'x'.repeat(3_000_000) })).status).toBe(415);
      expect((await h.call('GET', `/hls/cam/${String(i)}`)).status).toBe(415);
    }
    expect(seen.map(({ method }) => method)).toEqual(Array.from({ length: 5 }, () => ['POST', 'GET']).flat());
  });

  test('statuses and errors of the edge pass unchanged, CORS and preflight too', async () => {
    onRequest = (_request, response) => { response.writeHead(409, { 'retry-after': '3', 'access-control-allow-origin': '*', 'content-type': 'application/problem+json' }).end('{"code":"NO_PUBLISHER"}'); };
    const refused = await h.call('POST', '/whep/cam', { body: 'x' });
    expect([refused.status, refused.headers.get('retry-after'), refused.body['code'], refused.headers.get('access-control-allow-origin')]).toEqual([409, '3', 'NO_PUBLISHER', '*']);
    await h.call('OPTIONS', '/whip/cam', { headers: { origin: 'http://a', 'access-control-request-method': 'POST' } });
    expect(seen.at(-1)?.method).toBe('OPTIONS');
  });

  test('a long answer streams with back-pressure, and its end by either side ends both', async () => {
    let written = 0;
    const closed = Promise.withResolvers<undefined>();
    onRequest = (_request, response) => {
      response.writeHead(200, { 'content-type': 'multipart/x-mixed-replace' });
      const chunk = Buffer.alloc(65_536);
      const more = (): void => {
        while (!response.destroyed) {
          written += chunk.byteLength;
          if (!response.write(chunk)) { response.once('drain', more); return; }
        }
      };
      response.once('close', () => { closed.resolve(undefined); });
      more();
    };
    await new Promise<void>((resolve) => {
      const client = httpRequest(`${h.base}/v1/cameras/cam/mjpeg`, (response) => {
        response.once('readable', () => { client.destroy(); resolve(); });
      });
      client.end();
    });
    await closed.promise;
    expect(written).toBeLessThan(64 * 1024 * 1024);
    onRequest = (_request, response) => { response.writeHead(200); response.write('half'); setImmediate(() => response.destroy()); };
    await expect(h.call('GET', '/v1/cameras/cam/mjpeg')).rejects.toThrow();
  });

  test('headers come at once, long before the first byte of the body', async () => {
    let finish: (() => void) | undefined;
    onRequest = (_request, response) => { response.writeHead(200); response.flushHeaders(); finish = () => response.end('later'); };
    const response = await fetch(`${h.base}/hls/cam/live.m3u8`);
    expect(response.status).toBe(200);
    finish?.();
    expect(await response.text()).toBe('later');
  });

  test('an edge that is down, and one that is not known yet, is 503 with Retry-After', async () => {
    edge.closeAllConnections();
    await new Promise((resolve) => edge.close(resolve));
    for (const url of [edgeUrl, null]) {
      edgeUrl = url;
      const answer = await h.call('POST', '/whip/cam', { body: 'x', headers: { 'content-type': 'application/sdp', 'x-request-id': 'r' } });
      expect([answer.status, answer.headers.get('retry-after'), answer.headers.get('content-type'), answer.body['code'], answer.body['trace_id']]).toEqual([503, '1', 'application/problem+json', 'EDGE_UNAVAILABLE', 'r']);
    }
    await new Promise<void>((resolve) => edge.listen(0, '127.0.0.1', resolve));
  });

  test('a kept connection that the edge has closed meanwhile is not the client\'s problem', async () => {
    const sockets: Socket[] = [];
    edge.on('connection', (socket: Socket) => sockets.push(socket));
    expect((await h.call('GET', '/hls/cam/a')).status).toBe(200);
    onRequest = (request, response) => {
      if (request.socket === sockets[0]) request.socket.destroy();
      else response.end('again');
    };
    expect((await h.call<string>('GET', '/hls/cam/b')).body).toBe('again');
  });

  test('an edge that never answers is given up', async () => {
    const arrived = Promise.withResolvers<undefined>();
    onRequest = () => { arrived.resolve(undefined); };
    const answer = h.call('GET', '/hls/cam/a');
    await arrived.promise;
    h.clock.advance(60_000);
    expect((await answer).status).toBe(503);
  });

  test('[D-12] a publisher\'s token with camera:manage makes the camera before its offer goes on', async () => {
    const { access_token: token } = await h.login();
    onRequest = (_request, response) => { response.end(String(h.api.desiredState.current().cameras.length)); };
    expect((await h.call<string>('POST', '/whip/fresh', { body: 'x' })).body).toBe('0');
    expect((await h.call<string>('POST', '/whep/fresh', { token, body: 'x' })).body).toBe('0');
    expect((await h.call<string>('POST', '/whip/fresh', { token, body: 'x' })).body).toBe('1');
  });

  test('WebSockets are joined as sockets: frames both ways, sub-protocol, close by either side', async () => {
    const server = new WebSocketServer({ noServer: true, handleProtocols: (protocols) => [...protocols][0] ?? false });
    const edgeSockets: WebSocket[] = [];
    onUpgrade = (request, socket, head) => {
      server.handleUpgrade(request, socket, head, (ws) => {
        edgeSockets.push(ws);
        ws.on('message', (data: Buffer, binary) => { ws.send(data, { binary }); });
      });
    };
    const open = async (path: string) => {
      const ws = new WebSocket(`${h.base.replace('http', 'ws')}${path}`, ['bearer.token']);
      await new Promise((resolve, reject) => { ws.once('open', resolve); ws.once('error', reject); });
      return ws;
    };
    const client = await open('/v1/cameras/cam/detections/live?a=1');
    expect([client.protocol, seen[0]?.url]).toEqual(['bearer.token', '/v1/cameras/cam/detections/live?a=1']);
    const big = Buffer.alloc(300_000, 5);
    const echoed = new Promise<Buffer>((resolve) => client.once('message', (data: Buffer) => { resolve(data); }));
    client.send(big);
    expect((await echoed).equals(big)).toBe(true);
    const edgeClosed = new Promise((resolve) => edgeSockets[0]?.once('close', resolve));
    client.terminate();
    await edgeClosed;
    const second = await open('/ws/stream/cam');
    const clientClosed = new Promise<number>((resolve) => second.once('close', resolve));
    edgeSockets[1]?.close(4401, 'no');
    expect(await clientClosed).toBe(4401);
    server.close();
  });

  test('an upgrade the edge refuses, and one of nothing of ours, is answered as HTTP', async () => {
    onUpgrade = (_request, socket) => { socket.end('HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno'); };
    const ask = (path: string) => rawExchange(h.base, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n`);
    expect(await ask('/ws/stream/cam')).toMatch(/^HTTP\/1\.1 401 [^]*www-authenticate: Bearer[^]*no$/i);
    expect(await ask('/v1/cameras')).toMatch(/^HTTP\/1\.1 404 [^]*problem\+json/);
    expect(await ask('/ws/stream/UPPER')).toMatch(/^HTTP\/1\.1 404 /);
    edgeUrl = null;
    expect(await ask('/ws/stream/cam')).toMatch(/^HTTP\/1\.1 503 [^]*retry-after: 1/);
  });

  test('an edge that never agrees to an upgrade is given up', async () => {
    const arrived = Promise.withResolvers<Duplex>();
    onUpgrade = (_request, socket) => { arrived.resolve(socket); };
    const answer = rawExchange(h.base, 'GET /ws/stream/cam HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    const upstream = await arrived.promise;
    h.clock.advance(10_000);
    expect(await answer).toMatch(/^HTTP\/1\.1 503 /);
    upstream.destroy();
  });
});

test('no path of a media URL leads out of it', () => {
  fc.assert(fc.property(fc.array(fc.constantFrom('..', '.', '%2e%2e', '%2E.', 'cam', 'hls', '/', '\\', '%2f', '?', 'v1', 'edge', ''), { maxLength: 8 }), (parts) => {
    const route = edgeRouteOf(`/hls/cam/${parts.join('/')}`);
    if (route === null || route === undefined) return;
    expect(new URL(route.target, 'http://edge').pathname.startsWith('/hls/cam')).toBe(true);
  }));
});
