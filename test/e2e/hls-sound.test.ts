/** A camera's sound that stops, and one that returns without sound: who watches by LL-HLS goes on watching. ffmpeg pushes, hls.js plays as it comes, without any help. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { startChromium } from '../support/chromium.ts';
import { playHls, watchHls } from '../support/hls-player.ts';
import type { HlsPlayed } from '../support/hls-player.ts';
import { blankPage } from '../support/live-peers.ts';
import { clip, ffmpegMake, ffmpegPush } from '../support/media.ts';
import { TestServer, until } from '../support/server.ts';

const SLOW = 60_000;
/** Seconds of sound at its begin. */
const HEARD = 8;
/** ffmpeg itself would keep pictures back for ten seconds where a sound they could be followed by does not come. */
const AT_ONCE = ['-c', 'copy', '-max_interleave_delta', '100000'];

const stack = new AsyncDisposableStack();
let folder: string;
let server: TestServer;
let page: Page;
/** Forty seconds of pictures, sound with the first of them; and the same in another size, without any. */
let stops: string;
let silent: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imageflow-hls-sound-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const source = clip('vtest-720p30-aac.mp4');
  const video = ['-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '0', '-g', '30', '-sc_threshold', '0', '-r', '30'];
  stops = await ffmpegMake(['-stream_loop', '-1', '-i', source, '-stream_loop', '-1', '-t', String(HEARD), '-i', source, '-map', '0:v', '-map', '1:a', '-vf', 'scale=640:-2', ...video, '-c:a', 'copy', '-t', '40'], join(folder, 'stops.mp4'));
  silent = await ffmpegMake(['-i', stops, '-an', '-vf', 'scale=480:-2', ...video], join(folder, 'silent.mp4'));
  server = stack.use(await TestServer.start());
  const browser = stack.use(await startChromium());
  page = await blankPage(() => browser.context.newPage(), server);
});
afterAll(() => stack.disposeAsync());

/** It went on playing; hold-ups of a busy machine are no errors. */
const expectPlayed = (played: HlsPlayed, width: number): void => {
  expect(played.errors).not.toContain('bufferAppendError');
  expect(played.width).toBe(width);
  expect(played.decoded).toBeGreaterThan(played.played * 30 * 0.5);
};

test('[DIS-2] sound that stops in the middle, and a publisher that returns without any, stop no picture', { timeout: 170_000 }, async () => {
  const camera = await server.addCamera('cam', { pipelines: [] });
  const url = camera.urls['hls'] ?? '';
  {
    await using push = ffmpegPush(stops, server.rtspUrl(camera), { output: AT_ONCE });
    await until('it can be watched', async () => (await server.fetch(new URL(url).pathname)).ok, SLOW);
    await playHls(page, url, server.token);
    expectPlayed(await watchHls(page, HEARD + 8), 640);
    push.child.kill('SIGKILL');
    await push.exit;
  }
  await using _silent = ffmpegPush(silent, server.rtspUrl(camera));
  await page.waitForFunction(() => document.querySelector('video')?.videoWidth === 480, undefined, { timeout: SLOW });
  expectPlayed(await watchHls(page, 8), 480);
});

test('[DIS-2] a camera that announces sound and sends none is watched all the same', { timeout: 120_000 }, async () => {
  const camera = await server.addCamera('mute', { pipelines: [] });
  const url = camera.urls['hls'] ?? '';
  await using _push = ffmpegPush(stops, server.rtspUrl(camera), { input: ['-ss', String(HEARD + 4)], output: AT_ONCE });
  await until('it can be watched', async () => (await server.fetch(new URL(url).pathname)).ok, SLOW);
  await playHls(page, url, server.token);
  expectPlayed(await watchHls(page, 6), 640);
});
