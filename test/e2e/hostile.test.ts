/** Hostile input at every port, beside a neighbour camera that is recorded, detected and watched, and loses nothing. */
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { OfferingClient } from '../../transport/webrtc/testing/offering-client.ts';
import { startChromium } from '../support/chromium.ts';
import { PLAY_OFFER, PUBLISH_OFFER, ask } from '../support/doors.ts';
import type { DoorAnswer } from '../support/doors.ts';
import { BROKEN_FRAMES, BROKEN_OFFERS, below, bytes, floodUdp, hostilePacket, mutate } from '../support/hostile-input.ts';
import { blankPage, bothCounts, playCamera, receivedByServer, reception } from '../support/live-peers.ts';
import { clip, ffmpegPush } from '../support/media.ts';
import type { Running } from '../support/media.ts';
import { packetsOf } from '../support/mp4-packets.ts';
import { seededRandom } from '../support/random.ts';
import { askRtsp, holdHalfOpen, sendRaw } from '../support/raw-sockets.ts';
import { closedSegments, filesOf } from '../support/recordings.ts';
import { TestServer, until } from '../support/server.ts';
import type { Camera } from '../support/server.ts';

const ROLES = ['edge', 'control', 'worker', 'extractor'] as const;
const NEIGHBOUR_CLIP = 'vtest-720p30.mp4';
const SDP = { 'content-type': 'application/sdp' };
const JSON_BODY = { 'content-type': 'application/json' };

const stack = new AsyncDisposableStack();
const random = seededRandom(20261125);
let server: TestServer;
let page: Page;
let neighbour: Camera;
let victim: Camera;
let push: Running;
let pidsBefore: Record<string, number[]>;
let before: Awaited<ReturnType<typeof bothCounts>>;

const pids = async (): Promise<Record<string, number[]>> => Object.fromEntries(await Promise.all(ROLES.map(async (role) => [role, await server.pids(role)] as const)));

beforeAll(async () => {
  server = stack.use(await TestServer.start());
  neighbour = await server.addCamera('neighbour');
  victim = await server.addCamera('victim', { pipelines: [] });
  push = stack.use(ffmpegPush(clip(NEIGHBOUR_CLIP), server.rtspUrl(neighbour), { loop: true }));
  const browser = stack.use(await startChromium());
  page = await blankPage(() => browser.context.newPage(), server);
  await until('the neighbour is live', async () => (await server.request<{ phase: string }>('GET', '/v1/cameras/neighbour')).phase === 'live');
  await playCamera(page, neighbour.urls['whep']!, server.token);
  await until('it is detected', async () => (await server.request<{ items: unknown[] }>('GET', '/v1/detections?camera=neighbour&limit=1')).items.length > 0);
  pidsBefore = await pids();
  before = await bothCounts(server, neighbour.id, page);
});
afterAll(() => stack.disposeAsync());
afterEach(async () => {
  expect(await pids(), 'no process has died').toEqual(pidsBefore);
  if (push.child.exitCode !== null || push.child.signalCode !== null) return; // the last test ends it
  const received = await receivedByServer(server, neighbour.id);
  const { framesDecoded } = await reception(page);
  await until('the neighbour goes on', async () => (await receivedByServer(server, neighbour.id)) > received + 10 && (await reception(page)).framesDecoded > framesDecoded + 10);
});

const expectRefused = (answer: DoorAnswer, what: string): void => {
  expect(answer.status, `${what}: ${answer.text.slice(0, 400)}`).toBeGreaterThanOrEqual(400);
  expect(answer.status, `${what}: ${answer.text.slice(0, 400)}`).toBeLessThan(500);
  expect(answer.problem, what).toMatchObject({ status: answer.status, title: expect.stringMatching(/^[A-Z]\w+/), detail: expect.stringMatching(/\w{3}.* \w/), code: expect.stringMatching(/^[A-Z][A-Z_]+$/) });
  expect(answer.text, what).not.toMatch(/node_modules|node:internal|\.ts:\d+/);
};
/** Taken, or refused as what the client did wrong: never a fault of ours. */
const expectJudged = (answer: DoorAnswer, what: string): void => {
  if (answer.status >= 300 || answer.status < 200) expectRefused(answer, what);
};
const post = (path: string, credential: string, body: string, headers: Record<string, string> = SDP): Promise<DoorAnswer> => ask(path, credential, { method: 'POST', headers, body });
const offerDoors = (): [string, string][] => [server.http, server.edge].flatMap((base): [string, string][] => [[`${base}/whip/victim`, victim.publish_key], [`${base}/whep/victim`, victim.publish_key]]);

describe('[W3] offers', () => {
  test('that are broken are refused with what is wrong with them, at WHIP and WHEP, on both ports', async () => {
    for (const [url, key] of offerDoors()) {
      for (const [name, offer] of Object.entries(BROKEN_OFFERS)) expectRefused(await post(url, key, offer), `${url} with ${name}`);
      expect((await post(url, key, `${PUBLISH_OFFER}${'a=x:y\r\n'.repeat(20_000)}`)).status, url).toBe(413);
      expect((await post(url, key, PUBLISH_OFFER + Array.from({ length: 700 }, (_, i) => `m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:x${String(i)}\r\n`).join(''))).status, 'many sections').toBeLessThan(500);
      for (let i = 0; i < 20; i++) expectRefused(await post(url, key, bytes(random, 1 + below(random, 2000)).toString('latin1')), `${url} with random bytes`);
    }
  });

  test('cut at any place or changed at random are answered, never by a fault of ours', async () => {
    for (const [url, key] of offerDoors()) {
      for (let end = 0; end < PUBLISH_OFFER.length; end += 397) expectJudged(await post(url, key, PUBLISH_OFFER.slice(0, end)), `${url} cut at ${String(end)}`);
      for (let i = 0; i < 60; i++) {
        const offer = mutate(random, PUBLISH_OFFER);
        expectJudged(await post(url, key, offer), `${url}\n${offer}`);
      }
    }
    for (let i = 0; i < 60; i++) {
      const offer = mutate(random, PLAY_OFFER);
      expectJudged(await post(`${server.http}/whep/neighbour`, server.token, offer), offer);
    }
  });

  test('and candidates of a session, too', async () => {
    const made = await fetch(`${server.edge}/whip/victim`, { method: 'POST', headers: { ...SDP, authorization: `Bearer ${victim.publish_key}` }, body: PUBLISH_OFFER });
    expect(made.status).toBe(201);
    await made.text();
    const fragment = `a=ice-ufrag:${/a=ice-ufrag:(\S+)/.exec(PUBLISH_OFFER)?.[1] ?? ''}\r\na=ice-pwd:${/a=ice-pwd:(\S+)/.exec(PUBLISH_OFFER)?.[1] ?? ''}\r\nm=video 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 UDP 2122194687 192.0.2.9 5000 typ host\r\n`;
    const patch = (body: string): Promise<DoorAnswer> => ask(server.edge + (made.headers.get('location') ?? ''), victim.publish_key, {
      method: 'PATCH', headers: { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': made.headers.get('etag') ?? '' }, body,
    });
    expect((await patch(fragment)).status).toBe(204);
    for (let i = 0; i < 60; i++) expectJudged(await patch(mutate(random, fragment)), 'a changed fragment');
    expectJudged(await patch(fragment + `a=candidate:1 1 UDP 1 ${'h'.repeat(3000)}.local 5000 typ host\r\n`.repeat(4)), 'long candidates');
    expect((await patch('a=x\r\n'.repeat(10_000))).status).toBe(413);
  });
});

describe('[ING-4] RTP', () => {
  const ANNOUNCED = ['v=0', 'o=- 0 0 IN IP4 127.0.0.1', 's=-', 't=0 0', 'm=video 0 RTP/AVP 96', 'a=rtpmap:96 H264/90000', 'a=fmtp:96 packetization-mode=1', 'a=control:streamid=0', ''].join('\r\n');
  const request = (method: string, path: string, fields: readonly string[], body = ''): Buffer =>
    Buffer.from([`${method} ${server.rtsp}/victim${path} RTSP/1.0`, 'CSeq: 1', ...fields, ...(body === '' ? [] : ['Content-Type: application/sdp', `Content-Length: ${String(body.length)}`]), '', body].join('\r\n'));
  const credentials = (): string => `Authorization: Basic ${Buffer.from(`x:${victim.publish_key}`).toString('base64')}`;

  test('that is cut, lies about its lengths or is none, sent by a publisher over RTSP', async () => {
    for (let round = 0; round < 5; round++) {
      const interleaved = Array.from({ length: 400 }, () => {
        const packet = random() < 0.02 ? Buffer.concat([hostilePacket(random, 96, 1), bytes(random, 40_000)]) : hostilePacket(random, 96, 1);
        return Buffer.concat([Buffer.from([0x24, below(random, 4), packet.length >> 8, packet.length & 0xff]), packet]);
      });
      const { hostname, port } = new URL(server.rtsp);
      const socket = connect(Number(port), hostname);
      socket.on('error', () => undefined);
      let text = '';
      socket.on('data', (chunk: Buffer) => { text += chunk.toString('latin1'); });
      const answers = (count: number): Promise<unknown> => until(`${String(count)} answers`, () => (text.match(/RTSP\/1\.0 200/g)?.length ?? 0) >= count);
      socket.write(request('ANNOUNCE', '', [credentials()], ANNOUNCED));
      await answers(1);
      socket.write(request('SETUP', '/streamid=0', ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record']));
      await answers(2);
      socket.write(request('RECORD', '', [`Session: ${/Session: (\w+)/.exec(text)?.[1] ?? ''}`]));
      await answers(3);
      for (const one of interleaved) socket.write(one);
      socket.write(bytes(random, 3000)); // and then no RTSP at all
      await until('the connection is closed', () => socket.destroyed || socket.readableEnded);
      socket.destroy();
    }
  });

  test('the same inside a WebRTC session', async () => {
    const ssrc = 4711;
    await using client = new OfferingClient({ direction: 'SendOnly', ssrc });
    const answer = await fetch(`${server.edge}/whip/victim`, { method: 'POST', headers: { ...SDP, authorization: `Bearer ${victim.publish_key}` }, body: await client.offer() });
    expect(answer.status).toBe(201);
    client.answer(await answer.text());
    await client.until(() => client.track.isOpen());
    let sent = 0;
    for (let i = 0; i < 1500; i++) {
      try {
        if (client.send(hostilePacket(random, 96, ssrc))) sent++;
      } catch {
        // What libsrtp cannot encrypt never leaves.
      }
      if (i % 50 === 0) await new Promise((resolve) => { setTimeout(resolve, 10); });
    }
    expect(sent).toBeGreaterThan(500);
  });

  test('datagrams of any kind on the WebRTC port', async () => {
    const { ports } = await server.request<{ ports: Record<string, number> }>('GET', '/v1/health');
    expect(ports['webrtc']).toBeGreaterThan(0);
    await floodUdp(random, ports['webrtc'] ?? 0, 3000);
  });
});

describe('[ING-4] RTSP', () => {
  test('that is none is refused with a status, and the connection ends', async () => {
    const refusals: [string, string | Buffer, RegExp][] = [
      ['lower case', 'hello\r\n\r\n', /^RTSP\/1\.0 400 /], ['HTTP', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', /^RTSP\/1\.0 400 /], ['TLS', Buffer.from('1603010200010001fc0303', 'hex'), /^RTSP\/1\.0 400 /],
      ['a line without colon', 'OPTIONS * RTSP/1.0\r\nCSeq 1\r\n\r\n', /^RTSP\/1\.0 400 /], ['a negative length', 'OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: -1\r\n\r\n', /^RTSP\/1\.0 400 /],
      ['a body of 4 GB', 'ANNOUNCE * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 4294967296\r\n\r\n', /^RTSP\/1\.0 413 /], ['a header without end', `OPTIONS * RTSP/1.0\r\nX: ${'y'.repeat(20_000)}`, /^RTSP\/1\.0 413 /],
      ['a thousand fields', `OPTIONS * RTSP/1.0\r\n${'X: y\r\n'.repeat(1000)}\r\n`, /^RTSP\/1\.0 413 /],
    ];
    for (const [name, sent, expected] of refusals) expect(await sendRaw(server.rtsp, sent), name).toMatch(expected);
    for (let i = 0; i < 60; i++) {
      const noise = Buffer.concat([bytes(random, 1 + below(random, 3000)), Buffer.from('\r\n\r\n')]);
      if (noise[0] === 0x24) (await holdHalfOpen(server.rtsp, 1, noise.toString('latin1')))[Symbol.dispose](); // an interleaved frame, before there is a session
      else expect(await sendRaw(server.rtsp, noise)).toMatch(/^RTSP\/1\.0 4\d\d /);
    }
    await sendRaw(server.rtsp, 'OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n'.repeat(2000)); // nobody who waits for answers asks so much at a time
  });

  test('announcements that are broken are refused with a status and a reason', async () => {
    const credentials = `Authorization: Basic ${Buffer.from(`x:${victim.publish_key}`).toString('base64')}`;
    const announce = (body: string): ReturnType<typeof askRtsp> => askRtsp(server.rtsp, 'ANNOUNCE', `${server.rtsp}/victim`, [credentials], body);
    const sdp = ['v=0', 'o=- 0 0 IN IP4 127.0.0.1', 's=-', 't=0 0', 'm=video 0 RTP/AVP 96', 'a=rtpmap:96 H264/90000', 'a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z2QAH6yyAKALdCAAAAMAIAAAB4HjBkk=,aOvMsiw=', 'a=control:streamid=0', ''].join('\r\n');
    expect((await announce(sdp)).status).toBe(200);
    for (const body of ['garbage', 'v=0\r\n', sdp.replace('H264/90000', 'H264/0'), sdp.replace('96', '999'), bytes(random, 500).toString('latin1')]) {
      const { status, text } = await announce(body);
      expect([400, 415], text).toContain(status);
      expect(text).toMatch(/\r\n\r\n\w.{5}/);
    }
    for (let i = 0; i < 100; i++) {
      const { status, text } = await announce(mutate(random, sdp));
      expect(text).toMatch(/^RTSP\/1\.0 \d{3} /);
      expect(status, text).toBeLessThan(500);
    }
    expect((await announce('a=x:y\r\n'.repeat(20_000))).status).toBe(413);
  });
});

describe('[2.5] HTTP', () => {
  const BOTH = (): string[] => [server.http, server.edge];

  test('that is none, or has too much header, is refused with a problem, on both ports', async () => {
    const refusals: [string, string | Buffer, number][] = [
      ['a header of 100 KB', `GET /v1/health HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(100_000)}\r\n\r\n`, 431], ['ten thousand fields', `GET /v1/health HTTP/1.1\r\nHost: x\r\n${'X: yyyyyy\r\n'.repeat(10_000)}\r\n`, 431],
      ['a target of 100 KB', `GET /${'y'.repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431], ['no request', 'hello\r\n\r\n', 400], ['TLS', Buffer.from('1603010200010001fc0303', 'hex'), 400],
      ['a length and chunks', 'POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
      ['two lengths', 'POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello', 400], ['a zero in a field', 'GET /v1/health HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n', 400],
      ['random bytes', Buffer.concat([Buffer.from([0xff]), bytes(random, 500), Buffer.from('\r\n\r\n')]), 400],
    ];
    for (const base of BOTH()) {
      for (const [name, sent, status] of refusals) {
        const text = await sendRaw(base, sent);
        expect(text, `${base} with ${name}`).toMatch(new RegExp(`^HTTP/1\\.1 ${String(status)} [A-Z]`));
        expect(text.toLowerCase(), name).toContain('content-type: application/problem+json');
        expect(JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4)), name).toMatchObject({ status, detail: expect.any(String), code: expect.any(String) });
      }
      for (const path of ['/..%2f..%2fetc/passwd', '/hls/../../etc/passwd', '/%00', `/whip/${'x'.repeat(4000)}`, '/hls/%ff%fe/index.m3u8', '//', '/v1/cameras/%2e%2e', '/v1/cameras/victim%00', '/v1/recordings/neighbour/playback?from=x&to=y']) {
        expect(await sendRaw(base, `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${server.token}\r\nConnection: close\r\n\r\n`), `${base}${path}`).toMatch(/^HTTP\/1\.1 (4\d\d|200|204) /);
      }
    }
  });

  test('JSON of wrong types, of every depth and size, and queries that are none, are refused with a problem', async () => {
    const { paths } = await server.request<{ paths: Record<string, Record<string, { requestBody?: { content: Record<string, unknown> }; security?: unknown }>> }>('GET', '/v1/openapi.json');
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const deepObject = `${'{"a":'.repeat(40_000)}1${'}'.repeat(40_000)}`;
    const bodies = ['', 'null', '1', '"x"', '[]', 'true', '{"id":', '{"id":7,"name":[],"pipelines":"x","source":null,"recording":5,"username":{},"password":[],"role":0,"kind":1,"refresh_token":{}}', '{"__proto__":{"admin":true},"constructor":1}', '\0', '\ud800', deep, deepObject, `{"id":"deep","kind":"view","name":"deep","username":"deep","password":"long enough","role":"viewer","disabled":true,"refresh_token":"x","unknown":${deep},"qos":${deep},"pipelines":${deep}}`, `{"id":"${'x'.repeat(200_000)}"}`];
    let asked = 0;
    for (const [path, methods] of Object.entries(paths).filter(([path]) => path.startsWith('/v1/') && !path.endsWith('/live') && !path.endsWith('/uploads'))) {
      for (const [method, operation] of Object.entries(methods)) {
        const url = server.http + path.replace(/\{(?:id|camera)\}/, 'victim').replaceAll(/\{\w+\}/g, 'none');
        if (operation.requestBody !== undefined) {
          for (const body of bodies) {
            expectRefused(await ask(url, server.token, { method: method.toUpperCase(), headers: JSON_BODY, body }), `${method} ${path} with ${body.slice(0, 60)}`);
            asked++;
          }
          const tooLarge = 'application/json' in operation.requestBody.content ? 413 : 415; // or no JSON at all is taken
          expect((await ask(url, server.token, { method: method.toUpperCase(), headers: JSON_BODY, body: `"${'x'.repeat(600_000)}"` })).status, path).toBe(tooLarge);
          expectRefused(await ask(url, server.token, { method: method.toUpperCase(), headers: { 'content-type': 'text/plain' }, body: '{}' }), `${method} ${path} as text`);
        } else if (method === 'get' && operation.security !== undefined) {
          for (const query of ['limit=-1', 'limit=1e99', 'cursor=garbage', 'cursor=eyJ9', `cursor=${'A'.repeat(5000)}`, 'from=yesterday&to=%00', 'from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z', 'camera=..%2f..', 'min_confidence=NaN', 'class[]=1&raised=perhaps', "camera=x'%20OR%201=1--", 'limit=1&limit=2']) {
            expectJudged(await ask(`${url}?${query}`, server.token), `${path}?${query}`);
            asked++;
          }
          for (const id of ['..', '%00', 'x'.repeat(400), '%F0%9F%98%80', "a'b", 'A']) expectJudged(await ask(url.replace('victim', id), server.token), `${path} for ${id}`);
        }
      }
    }
    expect(asked).toBeGreaterThan(200);
    expect((await server.request<{ items: { id: string }[] }>('GET', '/v1/cameras')).items.map(({ id }) => id).toSorted()).toEqual(['neighbour', 'victim']);
  });

  /** A close frame with code 4401: what follows a message that is no credential. */
  const closed4401 = (text: string): boolean => Buffer.from(text, 'latin1').includes(Buffer.from([0x11, 0x31]));
  test('WebSocket frames that are none close the socket, on both ports', async () => {
    for (const base of BOTH()) {
      const upgrade = ['GET /v1/cameras/neighbour/detections/live HTTP/1.1', 'Host: x', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}`, '', ''].join('\r\n');
      for (const [name, frame] of Object.entries(BROKEN_FRAMES)) expect(await sendRaw(base, [Buffer.from(upgrade), frame], closed4401), `${base} with ${name}`).toMatch(/^HTTP\/1\.1 101 /);
      for (const header of ['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: ']) expect(await sendRaw(base, upgrade.replace(header, 'X: ')), header).toMatch(/^HTTP\/1\.1 4\d\d /);
    }
  });

  test('connections that say nothing, or only half of it, keep nobody out', async () => {
    using _open = await hold(server.rtsp, server.http, server.edge);
    for (const base of BOTH()) expect((await ask(`${base}/hls/neighbour/index.m3u8`, server.token)).status).toBe(200);
    expect((await askRtsp(server.rtsp, 'OPTIONS', '*')).status).toBe(200);
  });
});

const hold = async (...urls: readonly string[]): Promise<DisposableStack> => {
  const held = new DisposableStack();
  for (const url of urls) {
    held.use(await holdHalfOpen(url, 60));
    held.use(await holdHalfOpen(url, 60, url.startsWith('rtsp') ? 'ANNOUNCE rtsp://x/victim RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 500\r\n\r\nv=0' : 'POST /whip/victim HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\nContent-Type: application/sdp\r\n\r\nv=0'));
  }
  return held;
};

test('[ING-11] and the neighbour has lost nothing: watched, recorded, detected, no alarm, no fault in the log', async () => {
  const after = await bothCounts(server, neighbour.id, page);
  console.info('neighbour:', JSON.stringify({ received: after.received - before.received, decoded: after.decoded - before.decoded, viewer: after.viewer }));
  expect(after.viewer.state).toBe('connected');
  const pictures = after.received - before.received;
  expect((after.viewer.framesReceived - before.viewer.framesReceived) / pictures).toBeGreaterThanOrEqual(0.99);
  expect((after.decoded - before.decoded) / pictures).toBeGreaterThanOrEqual(0.95); // some a browser short of processor time leaves out by itself
  const since = new Date(Date.now() - 5000).toISOString();
  await until('it is detected', async () => (await server.request<{ items: unknown[] }>('GET', `/v1/detections?camera=neighbour&from=${since}&limit=1`)).items.length > 0);
  expect((await server.request<{ items: unknown[] }>('GET', '/v1/alarms?camera=neighbour&raised=any')).items).toEqual([]);

  const source = (await packetsOf(clip(NEIGHBOUR_CLIP))).map(({ hash }) => hash);
  push.child.kill('SIGTERM');
  await push.exit;
  const segments = await closedSegments(server, neighbour.id);
  expect(segments.map(({ gap_before }) => gap_before)).toEqual(segments.map(() => null));
  const kept: string[] = [];
  for (const { path } of await filesOf(server.dataDir, neighbour.id)) kept.push(...(await packetsOf(path)).map(({ hash }) => hash));
  expect(kept.length).toBeGreaterThanOrEqual(after.received);
  expect(kept.findIndex((hash, i) => hash !== source[i % source.length]), 'every picture pushed is recorded, once, in order').toBe(-1);

  expect(server.log.filter((line) => /"level":"(error|fatal)"/.test(line))).toEqual([]);
});
