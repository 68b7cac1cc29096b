/** A camera's live view is switched off and on, with real viewers: a browser's plain WHEP peer, HLS requests, the detections socket, and the pages. */
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { WebSocket } from 'ws';
import { create } from '@bufbuild/protobuf';
import { GrpcClient } from '../../platform/grpc/client.ts';
import { DistributionSwitch, MediaControlService, StartDistributionRequestSchema, StopDistributionRequestSchema } from '../../proto/gen/imageflow/v1/media_control_service_pb.ts';
import { startChromium } from '../support/chromium.ts';
import type { Chromium } from '../support/chromium.ts';
import { blankPage, playCamera, publishCamera, reception } from '../support/live-peers.ts';
import { clip } from '../support/media.ts';
import { clumsyTargets, openAs, sideways } from '../support/pages.ts';
import { segmentsOf } from '../support/recordings.ts';
import { RespawningCamera } from '../support/respawning-camera.ts';
import { TestServer, until } from '../support/server.ts';
import type { Camera } from '../support/server.ts';

const ID = 'line-1';
const SLOW = 60_000;
const OFF = { status: 409, code: 'DISTRIBUTION_OFF' };
const PHONE = { width: 390, height: 844 };
const DESKTOP = { width: 1440, height: 900 };

const stack = new AsyncDisposableStack();
let server: TestServer;
let browser: Chromium;
let peers: Page;
let camera: Camera;

beforeAll(async () => {
  server = stack.use(await TestServer.start({ env: { IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '2', IMAGEFLOW_WEBRTC_KEYFRAME_INTERVAL_SECONDS: '1' } }));
  camera = await server.addCamera(ID, { name: 'Packing line' });
  stack.use(new RespawningCamera(clip('vtest-720p30.mp4'), server.rtspUrl(camera)));
  browser = stack.use(await startChromium({ viewport: DESKTOP }));
  peers = await blankPage(() => browser.context.newPage(), server);
  await until('there is a playlist', async () => (await server.fetch(`/hls/${ID}/index.m3u8`)).status === 200, SLOW);
});
afterAll(() => stack.disposeAsync());

const turn = (to: 'start' | 'stop'): Promise<{ state: string }> => server.request('POST', `/v1/cameras/${ID}/distribution/${to}`);
const bearer = (): Record<string, string> => ({ authorization: `Bearer ${server.token}` });
const offer = async (): Promise<Response> => {
  const body = await peers.evaluate(async () => {
    const pc = new RTCPeerConnection();
    pc.addTransceiver('video', { direction: 'recvonly' });
    await pc.setLocalDescription();
    const sdp = pc.localDescription?.sdp ?? '';
    pc.close();
    return sdp;
  });
  return fetch(`${server.http}/whep/${ID}`, { method: 'POST', headers: { ...bearer(), 'content-type': 'application/sdp' }, body });
};
const hls = (file = 'index.m3u8'): Promise<Response> => fetch(`${server.http}/hls/${ID}/${file}`, { headers: bearer() });
const socket = (): WebSocket => new WebSocket(`${server.http.replace('http', 'ws')}/v1/cameras/${ID}/detections/live`, { headers: bearer() });
/** Says what did not come, instead of the whole test's time. */
const soon = async <T>(what: string, promise: Promise<T>): Promise<T> => {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => { late.reject(new Error(`${what} did not come within 30 s`)); }, 30_000);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
};
const closing = async (client: WebSocket): Promise<[number, string]> => {
  const [code, reason] = (await soon('the end of a detections socket', once(client, 'close'))) as [number, Buffer];
  return [code, reason.toString()];
};
/** The first message; a socket that is closed instead says how. */
const firstMessage = async (client: WebSocket): Promise<void> => {
  const closed = Promise.withResolvers<never>();
  client.once('close', (code, reason) => { closed.reject(new Error(`closed with ${String(code)} ${reason.toString()}`)); });
  closed.promise.catch(() => undefined);
  await soon('a first detection', Promise.race([once(client, 'message'), closed.promise]));
};
const newestDetection = async (): Promise<string> => (await server.request<{ items: { captured_at: string }[] }>('GET', `/v1/detections?camera=${ID}&limit=1`)).items[0]?.captured_at ?? '';
const recorded = async (): Promise<number> => (await segmentsOf(server, ID)).length;

const refusesEverybody = async (): Promise<void> => {
  for (const answer of [await offer(), await hls(), await hls('video.m3u8'), await hls('video.m3u8?_HLS_msn=1'), await hls('seg-x-1.m4s')]) {
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(await answer.json()).toMatchObject({ ...OFF, detail: expect.stringContaining('switched off by an operator') as unknown });
  }
  expect(await closing(socket())).toEqual([4409, 'The live view of this camera has been switched off by an operator.']);
};

test('[SD-53] whoever watches is ended within 1 s and refused; recording and detection go on, also over a restart of the edge; start brings it back', { timeout: 180_000 }, async () => {
  await playCamera(peers, camera.direct_urls['whep'] ?? '', server.token);
  expect((await reception(peers)).state).toBe('connected');
  const watching = socket();
  await firstMessage(watching);
  const lane = await soon('a first detection on the data channel', peers.evaluate(async ([url, token]) => {
    const pc = new RTCPeerConnection();
    pc.addTransceiver('video', { direction: 'recvonly' });
    const channel = pc.createDataChannel('detections');
    await pc.setLocalDescription();
    const answer = await fetch(String(url), { method: 'POST', headers: { 'content-type': 'application/sdp', authorization: `Bearer ${String(token)}` }, body: pc.localDescription?.sdp ?? '' });
    await pc.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
    await new Promise((resolve) => { channel.onmessage = resolve; });
    Object.assign(window, { lane: pc, channel, laneClosed: new Promise((resolve) => { channel.onclose = () => { resolve(performance.timeOrigin + performance.now()); }; }) });
    return channel.readyState;
  }, [camera.direct_urls['whep'], server.token]));
  expect(lane).toBe('open');
  expect(await server.metric('imageflow_viewers', { camera: ID, protocol: 'webrtc' })).toBe(2);

  const closed = closing(watching).then((what) => ({ what, at: Date.now() }));
  expect(await turn('stop')).toEqual({ state: 'off' });
  const stopped = Date.now();
  const end = await closed;
  expect(end.what).toEqual([4409, 'The live view of this camera has been switched off by an operator.']);
  expect(end.at - stopped).toBeLessThan(1000);
  const laneClosedAt = await soon('the end of the data channel', peers.evaluate(() => (window as unknown as { laneClosed: Promise<number> }).laneClosed));
  expect(laneClosedAt - stopped).toBeLessThan(1000);
  await refusesEverybody();
  expect(await server.metric('imageflow_viewers', { camera: ID })).toBe(0);
  expect(await server.request('GET', `/v1/cameras/${ID}`)).toMatchObject({ phase: 'live', distribution: { state: 'off' } });

  const [segments, detection] = [await recorded(), await newestDetection()];
  await until('it records on', async () => (await recorded()) > segments, SLOW);
  await until('it detects on', async () => (await newestDetection()) > detection, SLOW);
  const [first] = await segmentsOf(server, ID);
  const playback = await server.fetch(`/v1/recordings/${ID}/playback?from=${String(first?.start)}&to=${new Date(Date.parse(String(first?.start)) + 1000).toISOString()}`);
  expect(playback.status).toBe(200);
  await playback.arrayBuffer();

  // Another process of the edge begins, from the desired state that it kept.
  for (const pid of await server.pids('edge')) process.kill(pid, 'SIGKILL');
  const answers: number[] = [];
  await until('the edge is back and still refuses', async () => {
    answers.push((await server.fetch(`/hls/${ID}/index.m3u8`)).status);
    return answers.at(-1) === 409;
  }, SLOW);
  expect(answers).not.toContain(200);

  const before = await newestDetection();
  await until('the camera is back and detected', async () => (await newestDetection()) > before, SLOW);
  await refusesEverybody();

  expect(await turn('start')).toEqual({ state: 'on' });
  await until('HLS plays', async () => (await server.fetch(`/hls/${ID}/index.m3u8`)).status === 200, SLOW);
  await playCamera(peers, camera.urls['whep'] ?? '', server.token, 'again');
  const again = socket();
  await firstMessage(again);
  again.terminate();
});

test('[SD-53] [ING-2] by gRPC the same; a sendonly offer to the WHEP address still publishes', { timeout: 120_000 }, async () => {
  using client = GrpcClient.dial(MediaControlService, server.grpc, { token: server.token });
  const stopped = await client.call.stopDistribution(create(StopDistributionRequestSchema, { cameraId: ID }), { deadlineMs: 20_000 });
  expect(stopped.distribution).toMatchObject({ cameraId: ID, switched: DistributionSwitch.OFF });
  await until('the edge refuses', async () => (await server.fetch(`/hls/${ID}/index.m3u8`)).status === 409);
  const wearable = await server.addCamera('wearable', { pipelines: [] });
  await server.request('POST', '/v1/cameras/wearable/distribution/stop');
  await publishCamera(peers, wearable.urls['whep'] ?? '', wearable.publish_key, 'wearable');
  expect((await server.request<{ phase: string }>('GET', '/v1/cameras/wearable')).phase).toMatch(/connecting|live/);
  const started = await client.call.startDistribution(create(StartDistributionRequestSchema, { cameraId: ID }), { deadlineMs: 20_000 });
  expect(started.distribution?.switched).toBe(DistributionSwitch.ON);
  const { items } = await server.request<{ items: { action: string; detail: unknown }[] }>('GET', '/v1/audit?limit=100');
  for (const action of ['distribution:start', 'distribution:stop']) expect(items).toContainEqual(expect.objectContaining({ action, target: ID, detail: { protocol: 'grpc' } }));
});

test('[SD-53] [DIS-5] the pages say that the live view is switched off, keep no picture of it, and show it again by themselves', { timeout: 180_000 }, async () => {
  const page = await browser.context.newPage();
  const playing = () => page.waitForSelector(`.picture[data-camera="${ID}"][data-status="playing"]`, { timeout: SLOW });
  const off = () => page.waitForSelector(`.picture[data-camera="${ID}"][data-status="switched-off"] >> text=Live view is switched off`, { timeout: SLOW });
  const shots = process.env['TEST_SCREENSHOTS'];
  if (shots !== undefined) mkdirSync(shots, { recursive: true });
  const looks = async (name: string): Promise<void> => {
    for (const [size, viewport] of Object.entries({ phone: PHONE, desktop: DESKTOP })) {
      await page.setViewportSize(viewport);
      expect(await sideways(page), `${name} on a ${size}`).toBeLessThanOrEqual(0);
      expect(await clumsyTargets(page), `${name} on a ${size}`).toEqual([]);
      if (shots !== undefined) await page.screenshot({ path: `${shots}/${name}-${size}.png` });
    }
  };
  await openAs(page, server, `/cameras/${ID}`);
  await playing();
  await looks('camera-on');
  await page.click('text=Stop live view');
  await off();
  expect(await page.textContent('.distribution-state')).toContain('Live view is off');
  expect(await page.evaluate(() => document.querySelector('video')?.srcObject)).toBeNull();
  expect(await page.locator('.readout').count()).toBe(0);
  await looks('camera-off');
  await page.click('text=Start live view');
  await playing();

  await openAs(page, server, '/');
  await playing();
  await turn('stop');
  await off();
  await looks('wall-off');
  await turn('start');
  await playing();

  await turn('stop');
  await server.request('POST', '/v1/users', { username: 'looker', password: 'looker-password', role: 'viewer' });
  const login = await server.request<{ access_token: string }>('POST', '/v1/auth/login', { username: 'looker', password: 'looker-password' });
  await openAs(page, server, `/cameras/${ID}`, login.access_token);
  await off();
  await page.waitForSelector('.distribution-state');
  expect(await page.locator('.distribution-state button').count()).toBe(0);
  await looks('camera-off-viewer');
  await turn('start');
  await playing();
});
