/** Wrong, missing and foreign credentials at every door, and a right one that is revoked while it is in use. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { WebSocket } from 'ws';
import { startChromium } from '../support/chromium.ts';
import { ask, doorsOf, knockSocket } from '../support/doors.ts';
import type { DoorAnswer } from '../support/doors.ts';
import { forgedTokens } from '../support/forged-tokens.ts';
import { blankPage, playCamera, publishCamera, reception } from '../support/live-peers.ts';
import { clip, ffmpegPush } from '../support/media.ts';
import { askRtsp } from '../support/raw-sockets.ts';
import { PASSWORD, TestServer, until } from '../support/server.ts';
import type { Camera } from '../support/server.ts';

const WITHIN_MS = 1000;
const VIEWER = { username: 'vera', password: 'only-watches-things' };

const stack = new AsyncDisposableStack();
let server: TestServer;
let own: Camera;
let other: Camera;
const viewKeys: Record<string, string> = {};
/** Credentials nobody may come in with, whatever they ask for. */
let strangers: Readonly<Record<string, string>>;
let valid: string;
let viewerToken: string;

const addKey = (camera: string, kind: 'publish' | 'view'): Promise<{ id: string; key: string }> => server.request('POST', `/v1/cameras/${camera}/keys`, { kind });
const live = (camera: string): Promise<unknown> => until(`${camera} is live`, async () => (await server.request<{ phase: string }>('GET', `/v1/cameras/${camera}`)).phase === 'live');
const logInAs = async (who: { username: string; password: string }): Promise<{ access_token: string; refresh_token: string }> => {
  const response = await fetch(`${server.http}/v1/auth/login`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(who) });
  expect(response.status).toBe(200);
  return await response.json() as { access_token: string; refresh_token: string };
};
const foreignToken = async (): Promise<string> => {
  await using another = await TestServer.start();
  return another.token;
};

beforeAll(async () => {
  const foreign = await foreignToken();
  server = stack.use(await TestServer.start());
  own = await server.addCamera('own', { pipelines: [] });
  other = await server.addCamera('other', { pipelines: [] });
  for (const { id } of [own, other]) viewKeys[id] = (await addKey(id, 'view')).key;
  const gone = await server.addCamera('gone', { pipelines: [] });
  await server.request('DELETE', '/v1/cameras/gone');
  const revoked = await addKey(own.id, 'publish');
  await server.request('DELETE', `/v1/cameras/${own.id}/keys/${revoked.id}`);
  await server.request('POST', '/v1/users', { ...VIEWER, role: 'viewer' });
  viewerToken = (await logInAs(VIEWER)).access_token;
  const loggedOut = await logInAs(VIEWER);
  await ask(`${server.http}/v1/auth/logout`, loggedOut.access_token, { method: 'POST' });
  const { valid: signedAlike, ...forged } = await forgedTokens(server.dataDir, server.token);
  valid = signedAlike;
  strangers = {
    ...forged, 'no key at all': 'pk_none', 'another server\'s token': foreign, 'a refresh token': (await logInAs(VIEWER)).refresh_token, 'a token after log-out': loggedOut.access_token,
    'the key of a deleted camera': gone.publish_key, 'a revoked key': revoked.key, 'a huge one': 'x'.repeat(5000), 'the admin\'s password': PASSWORD,
  };
  stack.use(ffmpegPush(clip('vtest-720p30-baseline.mp4'), server.rtspUrl(own), { loop: true }));
  await live(own.id);
  await until('there is a playlist', async () => (await server.fetch(`/hls/${own.id}/index.m3u8`)).status === 200);
});
afterAll(() => stack.disposeAsync());

const secrets = (): string[] => [...Object.values(strangers), ...Object.values(viewKeys), own.publish_key, other.publish_key, viewerToken, valid, server.token];
const expectNothingLeaked = (text: string, what: string): void => {
  for (const secret of secrets()) expect(text.includes(secret), `${what}: shows a credential`).toBe(false);
  expect(text, what).not.toMatch(/node_modules|node:internal|\bat \S+ \(|\.ts:\d+|SQLITE|private_jwk/);
};
const expectRefused = (answer: DoorAnswer, status: 401 | 403, kind: string, what: string): void => {
  expect(answer.status, `${what}: ${answer.text.slice(0, 500)}`).toBe(status);
  expectNothingLeaked(answer.text, what);
  if (kind === 'http') expect(answer.problem, what).toMatchObject({ status, title: expect.any(String), detail: expect.stringMatching(/\w{4}/), code: expect.stringMatching(/^[A-Z_]+$/), instance: expect.stringMatching(/^\/[^?]*$/) });
  if (kind === 'http' && status === 401) expect(answer.challenge, what).toMatch(/^Bearer realm=/);
  if (kind === 'rtsp' && status === 401) expect(answer.challenge, what).toMatch(/^Basic realm=/);
};

describe('[ING-6] a media door', () => {
  test('lets nobody in who shows nothing, something wrong, forged, expired, revoked or foreign, and tells them nothing of what there is', async () => {
    for (const door of doorsOf(server)) {
      for (const [name, credential] of [['nothing', null], ...Object.entries(strangers)] as const) {
        const what = `${door.name} with ${name}`;
        const answer = await door.knock(own.id, credential);
        expectRefused(answer, 401, door.kind, what);
        if (door.kind === 'http') expect((await door.knock('no-such-camera', credential)).problem?.['code'], what).toBe(answer.problem?.['code']);
      }
    }
  });

  test('lets a key do what it was given for, to its own camera, and nothing else; a viewer may not publish', async () => {
    for (const door of doorsOf(server)) {
      const wrong = door.action === 'publish'
        ? { 'another camera\'s publish key': other.publish_key, 'the camera\'s view key': viewKeys[own.id]!, 'a viewer\'s token': viewerToken }
        : { 'another camera\'s view key': viewKeys[other.id]!, 'the camera\'s publish key': own.publish_key };
      for (const [name, credential] of Object.entries(wrong)) {
        const what = `${door.name} with ${name}`;
        expectRefused(await door.knock(own.id, credential), 403, door.kind, what);
        const unknown = await door.knock('no-such-camera', credential);
        expect([403, 404], what).toContain(unknown.status);
        expectNothingLeaked(unknown.text, what);
      }
    }
  });

  test('opens to the right credential: what refused the others is what they differ in', async () => {
    await Promise.all(doorsOf(server).filter(({ name }) => !/POST \/|ANNOUNCE/.test(name)).map(async (door) => {
      for (const credential of [valid, ...(door.action === 'play' ? [viewKeys[own.id]!, viewerToken] : [own.publish_key])]) {
        const { status, text } = await door.knock(own.id, credential, 1500);
        expect([200, 404, 501], `${door.name}: ${text.slice(0, 300)}`).toContain(status); // 404: no such session; 501: RTSP PLAY
        if (/hls|live|snapshot|mjpeg|ws.stream/.test(door.name)) expect(status, door.name).toBe(200);
      }
    }));
    expect((await server.request<{ phase: string }>('GET', `/v1/cameras/${own.id}`)).phase, 'its publisher is still there').toBe('live');
  });
});

describe('[2.4] REST', () => {
  interface Operation { readonly method: string; readonly path: string; readonly security: unknown; readonly url: string }
  const operations = async (): Promise<Operation[]> => {
    const { paths } = await server.request<{ paths: Record<string, Record<string, { security?: unknown }>> }>('GET', '/v1/openapi.json');
    return Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, { security }]) => ({
      method: method.toUpperCase(), path, security, url: server.http + path.replace(/\{(?:id|camera)\}/, path.includes('/users/') ? 'nobody' : own.id).replaceAll(/\{\w+\}/g, 'some'),
    }))).filter(({ path }) => path.startsWith('/v1/') && !/^\/v1\/(?:cameras\/\{id\}\/(?:detections\/live|snapshot|mjpeg)|recordings\/\{camera\}\/uploads)$/.test(path)); // these are media doors
  };
  const knock = ({ method, url }: Operation, credential: string | null): Promise<DoorAnswer> =>
    ask(url, credential, { method, ...(method === 'GET' || method === 'DELETE' ? {} : { headers: { 'content-type': 'application/json' }, body: '{}' }) });

  test('nothing but health, documents, public keys and the log-in itself answers without a token', async () => {
    const open = (await operations()).filter(({ security }) => security === undefined).map(({ method, path }) => `${method} ${path}`);
    expect(open.toSorted()).toEqual([
      'GET /v1/.well-known/jwks.json', 'GET /v1/auth/.well-known/jwks.json', 'GET /v1/docs', 'GET /v1/health', 'GET /v1/health/ready', 'GET /v1/metrics', 'GET /v1/openapi.json',
      'GET /v1/recordings/signing-key', 'POST /v1/auth/login', 'POST /v1/auth/refresh',
    ]);
    for (const { url } of (await operations()).filter(({ method, security }) => security === undefined && method === 'GET')) expectNothingLeaked((await ask(url, null)).text, url);
  });

  test('every other operation refuses every wrong credential, camera keys too', async () => {
    const guarded = (await operations()).filter(({ security }) => security !== undefined);
    expect(guarded.length).toBeGreaterThan(20);
    const wrong = { ...strangers, 'a publish key': own.publish_key, 'a view key': viewKeys[own.id]! };
    for (const operation of guarded) {
      for (const [name, credential] of [['nothing', null], ...Object.entries(wrong)] as const) expectRefused(await knock(operation, credential), 401, 'http', `${operation.method} ${operation.path} with ${name}`);
    }
    const playback = `${server.http}/v1/recordings/${own.id}/playback?from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:10Z`;
    for (const [name, credential] of Object.entries(wrong)) expectRefused(await ask(`${playback}&token=${encodeURIComponent(credential)}`, null), 401, 'http', `playback by ?token= with ${name}`);
  });

  test('a viewer may look and change nothing, but for files of what there is to see', async () => {
    const isExport = ({ path }: Operation): boolean => /\/exports\b/.test(path);
    for (const operation of (await operations()).filter((each) => isExport(each) && each.method !== 'GET')) expect([400, 404], `${operation.method} ${operation.path}`).toContain((await knock(operation, viewerToken)).status);
    const manages = (await operations()).filter((each) => !isExport(each)).filter(({ security, method, path }) => security !== undefined && !path.startsWith('/v1/auth/') && (method !== 'GET' || /\/(users|audit|keys)\b/.test(path)));
    expect(manages.length).toBeGreaterThan(8);
    for (const operation of manages) expectRefused(await knock(operation, viewerToken), 403, 'http', `${operation.method} ${operation.path}`);
    expect((await ask(`${server.http}/v1/cameras`, viewerToken)).status).toBe(200);
    expect((await ask(`${server.http}/v1/cameras`, valid)).status).toBe(200);
  });

  test('log and audit name every refusal and no credential', async () => {
    const audit = JSON.stringify(await server.request('GET', '/v1/audit?limit=1000'));
    for (const reason of ['TOKEN_INVALID', 'TOKEN_EXPIRED', 'NO_CREDENTIAL', 'PERMISSION_DENIED']) expect(audit).toContain(reason);
    expectNothingLeaked(audit, 'audit');
    for (const secret of secrets()) expect(server.log.join('\n').includes(secret), 'the log shows a credential').toBe(false);
  });
});

describe('[2.4] a credential that is taken back', () => {
  let page: Page;
  beforeAll(async () => {
    const browser = stack.use(await startChromium());
    page = await blankPage(() => browser.context.newPage(), server);
  });

  /** Takes back, then asks every probe again and again: how long after the answer the last of them said so. */
  const takeBack = async (revoke: () => Promise<unknown>, probes: Readonly<Record<string, () => Promise<boolean>>>): Promise<void> => {
    for (const [name, isOver] of Object.entries(probes)) expect(await isOver(), `${name}: before`).toBe(false);
    await revoke();
    const began = performance.now();
    const took = await Promise.all(Object.entries(probes).map(async ([name, isOver]) => {
      await until(name, isOver, 10_000);
      return [name, Math.round(performance.now() - began)] as const;
    }));
    console.info('closed after ms:', JSON.stringify(Object.fromEntries(took)));
    for (const [name, ms] of took) expect(ms, name).toBeLessThanOrEqual(WITHIN_MS);
  };
  const sessionGone = (location: string) => async (): Promise<boolean> => (await ask(server.edge + location, server.token)).status === 404;
  const refused = (url: string, credential: string, init?: RequestInit) => async (): Promise<boolean> => (await ask(url, credential, init)).status === 401;
  /** Whether an open socket was closed with the code that says why. */
  const openSocket = async (base: string, credential: string): Promise<() => Promise<boolean>> => {
    const socket = new WebSocket(`${base.replace('http', 'ws')}/v1/cameras/${own.id}/detections/live?token=${credential}`);
    let code = 0;
    socket.on('close', (with_) => { code = with_; });
    await new Promise((resolve, reject) => { socket.once('open', resolve); socket.once('error', reject); });
    stack.defer(() => { socket.terminate(); });
    return () => Promise.resolve(code === 4401);
  };
  /** Everything a viewer can have open, at both ports. */
  const watching = async (credential: string, name: string): Promise<Record<string, () => Promise<boolean>>> => {
    const probes: Record<string, () => Promise<boolean>> = {};
    for (const [at, base] of [['8080', server.http], ['8081', server.edge]] as const) {
      probes[`WHEP ${at}`] = sessionGone(await playCamera(page, `${base}/whep/${own.id}`, credential, `${name}-${at}`));
      probes[`WebSocket ${at}`] = await openSocket(base, credential);
      probes[`HLS ${at}`] = refused(`${base}/hls/${own.id}/index.m3u8`, credential);
      probes[`a new WHEP viewer ${at}`] = refused(`${base}/whep/${own.id}/none`, credential);
    }
    return probes;
  };
  const expectStill = async (name: string): Promise<void> => {
    for (const at of ['8080', '8081']) {
      const before = (await reception(page, `${name}-${at}`)).framesReceived;
      await page.waitForTimeout(500);
      expect((await reception(page, `${name}-${at}`)).framesReceived - before, 'pictures still come').toBe(0);
    }
  };
  const announced = (key: string, camera: string) => async (): Promise<boolean> =>
    (await askRtsp(server.rtsp, 'DESCRIBE', `${server.rtsp}/${camera}`, [`Authorization: Basic ${Buffer.from(`x:${key}`).toString('base64')}`])).status === 401;

  test('a view key: WHEP, LL-HLS and WebSocket end on 8080 and 8081 within 1 s, and the camera goes on', async () => {
    const { id, key } = await addKey(own.id, 'view');
    await takeBack(() => server.request('DELETE', `/v1/cameras/${own.id}/keys/${id}`), { ...await watching(key, 'by-key'), 'RTSP 8554': announced(key, own.id) });
    await expectStill('by-key');
    expect((await knockSocket(`${server.edge.replace('http', 'ws')}/v1/cameras/${own.id}/detections/live`, key, 'query')).status).toBe(401);
    expect((await server.request<{ phase: string }>('GET', `/v1/cameras/${own.id}`)).phase).toBe('live');
  });

  test('an access token, by logging out: the same', async () => {
    const { access_token: token } = await logInAs(VIEWER);
    await takeBack(() => ask(`${server.http}/v1/auth/logout`, token, { method: 'POST' }), {
      ...await watching(token, 'by-token'), 'RTSP 8554': announced(token, own.id), 'REST 8080': refused(`${server.http}/v1/cameras`, token),
    });
    await expectStill('by-token');
  });

  test('publish keys: publications by WHIP through 8080 and 8081 and by RTSP through 8554 end within 1 s', async () => {
    const cameras = await Promise.all(['whip-8080', 'whip-8081', 'rtsp-8554', 'deleted'].map((id) => server.addCamera(id, { pipelines: [] })));
    const [front, edge, rtsp, deleted] = cameras as [Camera, Camera, Camera, Camera];
    const keys = await Promise.all([front, edge, rtsp].map(({ id }) => addKey(id, 'publish')));
    const sessions = await Promise.all([[server.http, front, keys[0]], [server.edge, edge, keys[1]]].map(([base, camera, key]) =>
      publishCamera(page, `${base as string}/whip/${(camera as Camera).id}`, (key as { key: string }).key, (camera as Camera).id)));
    const pushes = [[rtsp, keys[2]!.key], [deleted, deleted.publish_key]].map(([camera, key]) =>
      stack.use(ffmpegPush(clip('vtest-720p30-baseline.mp4'), server.rtspUrl({ ...camera as Camera, publish_key: key as string }), { loop: true })));
    await Promise.all(cameras.map(({ id }) => live(id)));
    const ended = pushes.map((push) => { let over = false; void push.exit.then(() => { over = true; }); return () => Promise.resolve(over); });

    await takeBack(() => Promise.all([...[front, edge, rtsp].map(({ id }, i) => server.request('DELETE', `/v1/cameras/${id}/keys/${keys[i]!.id}`)), server.request('DELETE', `/v1/cameras/${deleted.id}`)]), {
      'WHIP 8080': sessionGone(sessions[0]!), 'WHIP 8081': sessionGone(sessions[1]!), 'RTSP 8554': ended[0]!, 'RTSP 8554 of a deleted camera': ended[1]!,
      'new WHIP 8080': refused(`${server.http}/whip/${front.id}/none`, keys[0]!.key, { method: 'DELETE' }), 'new WHIP 8081': refused(`${server.edge}/whip/${edge.id}/none`, keys[1]!.key, { method: 'DELETE' }),
      'new RTSP 8554': announced(keys[2]!.key, rtsp.id), 'new RTSP 8554 of a deleted camera': announced(deleted.publish_key, deleted.id),
    });
    for (const { id } of [front, edge]) expect((await server.request<{ phase: string }>('GET', `/v1/cameras/${id}`)).phase, id).not.toBe('live');
    for (const { id, publish_key: unharmed } of [front, edge, rtsp]) expect((await ask(`${server.http}/whip/${id}/none`, unharmed, { method: 'DELETE' })).status, 'another key of the camera is good').toBe(404);
  });
});
