/** Real ffmpeg pushes by RTSP; real Chromium plays by WHEP and LL-HLS. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { startChromium } from '../support/chromium.ts';
import { playHls, watchHls } from '../support/hls-player.ts';
import { blankPage, closePeer, decodedShare, playCamera } from '../support/live-peers.ts';
import { clip, ffmpegPush } from '../support/media.ts';
import { TestServer, until } from '../support/server.ts';
import type { Camera } from '../support/server.ts';

const WINDOW_SECONDS = 20;
const stack = new AsyncDisposableStack();
let server: TestServer;
let page: Page;

beforeAll(async () => {
  server = stack.use(await TestServer.start());
  const browser = stack.use(await startChromium());
  page = await blankPage(() => browser.context.newPage(), server);
});
afterAll(() => stack.disposeAsync());

const live = (camera: Camera): Promise<unknown> =>
  until(`${camera.id} is live`, async () => (await server.request<{ phase: string }>('GET', `/v1/cameras/${camera.id}`)).phase === 'live');

test('[ING-4] [DIS-1] ffmpeg → RTSP → WHEP: at least 99 % of the frames are decoded', async () => {
  const camera = await server.addCamera('to-whep', { pipelines: [] });
  await using _push = ffmpegPush(clip('counter-720p30.mp4'), server.rtspUrl(camera), { loop: true });
  await live(camera);
  await playCamera(page, camera.urls['whep'] ?? '', server.token);
  const seen = await decodedShare(server, camera.id, page, WINDOW_SECONDS);
  await closePeer(page, 'viewer');
  console.info('RTSP → WHEP:', JSON.stringify(seen));
  expect(seen.received).toBeGreaterThan(550);
  expect(seen.share).toBeGreaterThanOrEqual(0.99);
  expect(seen.viewer.packetsLost).toBe(0);
});

test('[ING-4] [DIS-2] ffmpeg → RTSP → LL-HLS with hls.js: at least 99 % of the frames are decoded', async () => {
  const camera = await server.addCamera('to-hls', { pipelines: [] });
  await using _push = ffmpegPush(clip('counter-720p30.mp4'), server.rtspUrl(camera), { loop: true });
  await until('there is a playlist', async () => (await server.fetch(`/hls/${camera.id}/index.m3u8`)).status === 200);
  await playHls(page, camera.urls['hls'] ?? '', server.token);
  const seen = await watchHls(page, WINDOW_SECONDS);
  console.info('RTSP → LL-HLS:', JSON.stringify(seen));
  expect(seen.errors).toEqual([]);
  expect(seen.width).toBe(1280);
  expect((seen.decoded - seen.dropped) / (seen.played * 30)).toBeGreaterThanOrEqual(0.99);
});

test('[D-6] B-frames by RTSP: recorded, detected, played by HLS; WHEP answers 406 and names the setting', async () => {
  const camera = await server.addCamera('b-frames');
  await using _push = ffmpegPush(clip('vtest-720p30-bframes.mp4'), server.rtspUrl(camera), { loop: true });
  await live(camera);

  const offer = await page.evaluate(async () => {
    const pc = new RTCPeerConnection();
    pc.addTransceiver('video', { direction: 'recvonly' });
    await pc.setLocalDescription();
    return pc.localDescription?.sdp ?? '';
  });
  const refusal = await server.fetch(`/whep/${camera.id}`, { method: 'POST', headers: { 'content-type': 'application/sdp' }, body: offer });
  expect(refusal.status).toBe(406);
  expect(refusal.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  expect(await refusal.json()).toMatchObject({ status: 406, code: 'B_FRAMES', camera: camera.id, detail: expect.stringContaining('B-frames 0') });

  await until('there is a playlist', async () => (await server.fetch(`/hls/${camera.id}/index.m3u8`)).status === 200);
  await playHls(page, camera.urls['hls'] ?? '', server.token);
  const seen = await watchHls(page, 10);
  expect(seen.errors).toEqual([]);
  expect((seen.decoded - seen.dropped) / (seen.played * 30)).toBeGreaterThanOrEqual(0.95);

  const { items } = await until('people are detected', async () => {
    const found = await server.request<{ items: { class_name: string }[] }>('GET', `/v1/detections?camera=${camera.id}&class=person&limit=50`);
    return found.items.length > 0 && found;
  });
  expect(items[0]?.class_name).toBe('person');
  const segments = await server.request<{ items: { bytes: number }[] }>('GET', `/v1/recordings/${camera.id}/segments`);
  expect(segments.items[0]?.bytes).toBeGreaterThan(0);
});
