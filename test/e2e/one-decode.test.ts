import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { startChromium } from '../support/chromium.ts';
import { blankPage, playCamera, reception } from '../support/live-peers.ts';
import { clip, ffmpegPush } from '../support/media.ts';
import { TestServer, until } from '../support/server.ts';

const VIEWERS = 10;
const CAMERA = 'once';
const stack = new AsyncDisposableStack();
let server: TestServer;
let page: Page;

beforeAll(async () => {
  server = stack.use(await TestServer.start());
  const browser = stack.use(await startChromium());
  page = await blankPage(() => browser.context.newPage(), server);
});
afterAll(() => stack.disposeAsync());

test('[EXT-1] 10 viewers and 2 detectors on one camera are one decoder, and no picture is decoded twice; detection off ends it within 5 s', async () => {
  const camera = await server.addCamera(CAMERA, { pipelines: ['detect', { id: 'inspect-320', fps: 5 }] });
  stack.use(ffmpegPush(clip('vtest-720p30-baseline.mp4'), server.rtspUrl(camera), { loop: true }));
  await until('detections', async () => await server.metric('imageflow_decoded_frames_total', { camera: CAMERA }) > 0);
  for (let i = 0; i < VIEWERS; i++) await playCamera(page, camera.urls['whep'] ?? '', server.token, `viewer-${String(i)}`);
  expect(await server.metric('imageflow_viewers', { camera: CAMERA })).toBe(VIEWERS);

  let most = 0;
  const began = await server.metric('imageflow_access_units_total', { camera: CAMERA });
  await until('two hundred pictures more', async () => {
    most = Math.max(most, await server.metric('imageflow_decoders_active', { camera: CAMERA }));
    return await server.metric('imageflow_access_units_total', { camera: CAMERA }) > began + 200;
  });
  expect(most).toBe(1);
  const decoded = await server.metric('imageflow_decoded_frames_total', { camera: CAMERA });
  expect(decoded).toBeGreaterThan(100);
  // Each is counted once a second: the very next count of what came holds all that was decoded until now.
  const before = await server.metric('imageflow_access_units_total', { camera: CAMERA });
  const came = await until('the next count', async () => { const now = await server.metric('imageflow_access_units_total', { camera: CAMERA }); return now !== before && now; }, 5_000);
  expect(decoded).toBeLessThanOrEqual(came);
  // Both detectors were given pictures, whether they found anything in them or not.
  for (const model of ['nanodet-g-416.int8.u8', 'inspect-320']) expect(await server.metric('imageflow_inference_seconds_count', { model }), model).toBeGreaterThan(0);
  const models = new Set((await server.request<{ items: { model: string }[] }>('GET', `/v1/detections?camera=${CAMERA}&limit=500`)).items.map(({ model }) => model));
  expect(models).toContain('nanodet-g-416.int8.u8');
  for (let i = 0; i < VIEWERS; i++) expect((await reception(page, `viewer-${String(i)}`)).framesDecoded).toBeGreaterThan(0);

  await server.request('PATCH', `/v1/cameras/${CAMERA}`, { pipelines: [] });
  await until('no decoder', async () => await server.metric('imageflow_decoders_active', { camera: CAMERA }) === 0, 5_000);
  expect(await server.metric('imageflow_viewers', { camera: CAMERA })).toBe(VIEWERS);
});
