import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { startChromium } from '../support/chromium.ts';
import type { Chromium } from '../support/chromium.ts';
import { KEY } from './rtsp-harness.ts';
import { mjpegCamera, publishFromPage, startWhip } from './whip-harness.ts';
import type { WhipHarness } from './whip-harness.ts';

let camera: Awaited<ReturnType<typeof mjpegCamera>>;
let chromium: Chromium;
let edge: WhipHarness;
const pages: Page[] = [];

beforeAll(async () => {
  camera = await mjpegCamera('counter-720p30.mp4', 10);
  chromium = await startChromium({ camera: camera.file });
});
afterAll(async () => {
  await chromium[Symbol.asyncDispose]();
  await camera[Symbol.asyncDispose]();
});
beforeEach(async () => { edge = await startWhip(); });
afterEach(async () => {
  for (const page of pages.splice(0)) await page.close();
  await edge[Symbol.asyncDispose]();
});

const newPage = async (): Promise<Page> => {
  const page = await chromium.context.newPage();
  pages.push(page);
  await page.goto(`${edge.base}/page`);
  return page;
};
const video = (): WhipHarness['units'] => edge.units.filter((unit) => unit.kind === 'video');
/** Of the last two seconds of media. */
const bitrate = (): number => {
  const last = video().at(-1)?.pts ?? 0;
  return video().filter((unit) => last - unit.pts < 180_000).reduce((sum, unit) => sum + unit.byteLength * 4, 0);
};
const keys = (): WhipHarness['units'] => video().filter((unit) => unit.randomAccess);

test('[ING-8] [D-2] Chromium publishes H.264 with Opus, ramps above 1 Mbit/s, and sends a key frame every four to five seconds though nobody watches', async () => {
  const page = await newPage();
  const { status, location, answer } = await publishFromPage(page, { path: '/whip/line-1', key: KEY, audio: true });
  expect(status).toBe(201);
  expect(location).toMatch(/^\/whip\/line-1\/[0-9a-f-]{36}$/);
  expect(answer).toContain('H264/90000');
  await edge.until(() => edge.stream.session?.phase === 'live');
  await edge.until(() => keys().length >= 4 && bitrate() > 1e6); // without feedback Chromium stays at 0.8 Mbit/s

  expect(edge.stream.tracks?.video).toMatchObject({ codec: 'h264', width: 1280, height: 720, reorderDepth: 0 });
  expect(edge.stream.tracks?.audio).toMatchObject({ codec: 'opus' });
  const gaps = keys().slice(1).map((unit, i) => unit.arrivedAt - (keys()[i]?.arrivedAt ?? 0));
  for (const gap of gaps) expect(gap).toBeLessThan(5_500);
  for (const [i, unit] of video().entries()) {
    expect(unit.frame).toMatchObject({ stream: 'line-1', seq: i });
    expect(unit.dts).toBeGreaterThan(video()[i - 1]?.dts ?? -1);
  }
  expect(video().at(-1)?.frame.captureNtp).not.toBeNull(); // sender reports came through
  expect(edge.stream.stats()).toMatchObject({ audioCodec: 'opus', width: 1280, lostPackets: 0 });
});

test('[EXT-4] [ING-8] Chromium sends no more than the way from the camera is said to carry, and follows when that changes', async () => {
  edge.bandwidthHint = 500_000;
  const page = await newPage();
  await publishFromPage(page, { path: '/whip/line-1', key: KEY });
  await edge.until(() => video().length >= 240);
  expect(bitrate()).toBeLessThan(750_000); // a short while, with what an encoder needs to get there
  edge.bandwidthHint = undefined;
  await edge.until(() => bitrate() > 1.2e6);
  edge.bandwidthHint = 400_000;
  await edge.until(() => bitrate() < 600_000);
});

test('[ING-9] a new offer for the same camera takes it over in the same session, DELETE ends it', async () => {
  const first = await newPage();
  await publishFromPage(first, { path: '/whip/line-1', key: KEY });
  await edge.until(() => edge.stream.session?.phase === 'live');
  const session = edge.stream.session?.id;
  const firstEpoch = edge.stream.session?.epoch ?? 0;

  const second = await newPage();
  const { location } = await publishFromPage(second, { path: '/whip/line-1', key: KEY });
  await edge.until(() => video().some((unit) => unit.frame.epoch > firstEpoch));
  expect(edge.stream.session).toMatchObject({ id: session, phase: 'live' });
  expect(video().find((unit) => unit.frame.epoch > firstEpoch)?.randomAccess).toBe(true);
  await expect.poll(() => first.evaluate(() => (window as unknown as { pc: RTCPeerConnection }).pc.connectionState), { timeout: 20_000 }).not.toBe('connected');

  const authorization = { headers: { authorization: `bearer ${KEY}` } };
  const url = edge.base + String(location);
  expect((await fetch(url, { method: 'DELETE', ...authorization })).status).toBe(200);
  expect(edge.stream.session).toMatchObject({ phase: 'ended', reason: 'DELETE' });
  expect((await fetch(url, { method: 'DELETE', ...authorization })).status).toBe(404);
  expect(edge.endpoint.sessionCount).toBe(0);
});

test('[ING-9] a page that closes its connection leaves the session interrupted, within the grace time', async () => {
  const page = await newPage();
  await publishFromPage(page, { path: '/whip/line-1', key: KEY });
  await edge.until(() => edge.stream.session?.phase === 'live');
  await page.evaluate(() => { (window as unknown as { pc: RTCPeerConnection }).pc.close(); });
  await edge.until(() => edge.stream.session?.phase === 'interrupted');
  expect(edge.endpoint.sessionCount).toBe(0);
});

test('[2.4] a revoked key closes the publisher at once', async () => {
  const page = await newPage();
  await publishFromPage(page, { path: '/whip/line-1', key: KEY });
  await edge.until(() => edge.stream.session?.phase === 'live');
  for (const listener of edge.authorizer.listeners) listener('k1');
  expect(edge.stream.session).toMatchObject({ phase: 'ended', reason: 'credential revoked' });
});

test('a publisher that has only VP8 is taken, and of simulcast one layer at full size', async () => {
  const vp8 = await newPage();
  expect((await publishFromPage(vp8, { path: '/whip/line-1', key: KEY, codec: 'vp8' })).answer).not.toContain('H264');
  await edge.until(() => edge.stream.tracks?.video?.codec === 'vp8' && video().length > 30);
  const layers = await newPage();
  const { answer } = await publishFromPage(layers, { path: '/whip/line-1', key: KEY, simulcast: true });
  expect(answer).toContain('a=simulcast:recv f');
  await edge.until(() => edge.stream.tracks?.video?.codec === 'h264' && edge.stream.tracks.video.width === 1280);
});
