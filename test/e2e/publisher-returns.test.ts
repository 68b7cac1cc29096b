import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { startChromium } from '../support/chromium.ts';
import { blankPage, playCamera, reception } from '../support/live-peers.ts';
import { clip, ffmpegMake, ffmpegPush } from '../support/media.ts';
import { gapCausesOf, segmentsOf } from '../support/recordings.ts';
import { TestServer, until } from '../support/server.ts';

/** ffmpeg sends its first half second at once, which puts recorded time ahead: a shorter outage would leave no gap. */
const OUTAGE_MS = 1_000;
const CAMERA = 'wanderer';
const stack = new AsyncDisposableStack();
let folder: string;
let server: TestServer;
let page: Page;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imageflow-returns-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  server = stack.use(await TestServer.start());
  const browser = stack.use(await startChromium());
  page = await blankPage(() => browser.context.newPage(), server);
});
afterAll(() => stack.disposeAsync());

test('[ING-9] [D-4] a viewer\'s peer connection goes on when the publisher is killed and returns with another resolution and another time base, three times in a row', async () => {
  const small = await ffmpegMake(['-i', clip('vtest-720p30.mp4'), '-t', '20', '-vf', 'scale=640:360', '-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '0', '-g', '30'], join(folder, 'small.mp4'));
  const camera = await server.addCamera(CAMERA, { pipelines: [] });
  const url = server.rtspUrl(camera);
  const session = async (): Promise<{ id: string; phase: string; epoch: number }> => (await server.request<{ session: { id: string; phase: string; epoch: number } }>('GET', `/v1/cameras/${CAMERA}`)).session;

  let push = ffmpegPush(clip('vtest-720p30.mp4'), url, { loop: true });
  stack.defer(() => push[Symbol.asyncDispose]());
  await until('the camera is live', async () => (await session()).phase === 'live');
  const first = await session();
  await playCamera(page, camera.urls['whep'] ?? '', server.token);
  expect((await reception(page)).width).toBe(1280);

  const epochs = new Set([first.epoch]);
  for (const [file, width] of [[clip('vtest-1080p30.mp4'), 1920], [small, 640], [clip('counter-720p30.mp4'), 1280]] as const) {
    await push[Symbol.asyncDispose](); // SIGKILL
    await until('the camera is away', async () => (await session()).phase === 'interrupted');
    await new Promise((resolve) => { setTimeout(resolve, OUTAGE_MS); });
    const frozen = (await reception(page)).framesDecoded;
    push = ffmpegPush(file, url, { loop: true }); // ffmpeg begins every connection at an RTP timestamp of its own
    const back = await until(`a picture ${String(width)} wide`, async () => { const now = await reception(page); return now.width === width && now.framesDecoded > frozen + 60 && now; });
    expect(back.state).toBe('connected');
    const now = await session();
    expect(now.id).toBe(first.id);
    epochs.add(now.epoch);
  }
  expect(epochs.size).toBe(4);
  expect(await server.metric('imageflow_viewers', { camera: CAMERA })).toBe(1);

  // The recording goes on, too: one session, its gaps on record.
  const segments = await until('four recordings', async () => { const all = await segmentsOf(server, CAMERA); return new Set(all.map(({ tracks }) => tracks.find(({ kind }) => kind === 'video')?.width)).size === 3 && all; });
  expect(segments.filter(({ gap_before }) => gap_before !== null).length).toBeGreaterThanOrEqual(3);
  expect(new Set(await gapCausesOf(server, CAMERA))).toEqual(new Set(['publisher_lost']));
});
