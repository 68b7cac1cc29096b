/** A camera of 1080 lines that is watched with boxes burned in while the machine's processors have no time left, and later have. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { startChromium } from '../support/chromium.ts';
import { playHls } from '../support/hls-player.ts';
import { blankPage, counterShown, playCamera, reception } from '../support/live-peers.ts';
import { clip, ffmpegMake, ffmpegPush } from '../support/media.ts';
import { readParts } from '../support/mjpeg-reader.ts';
import { TestServer, until } from '../support/server.ts';

const CAMERA = 'counter';
const SLOW_MS = 60_000;

interface Shown { readonly height: number; readonly full_height: number; readonly since: string | null; readonly cause: string | null }
interface Told { readonly event_type: string; readonly camera: string; readonly shown_height?: { readonly from: number; readonly to: number; readonly full: number; readonly cause: string } }

const stack = new AsyncDisposableStack();
let folder: string;
let server: TestServer;
let page: Page;
let hlsPage: Page;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imageflow-shown-height-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'busy'), '0.2');
  const video = await ffmpegMake(['-t', '10', '-i', clip('counter-720p30.mp4'), '-an', '-vf', 'fps=10,scale=1920:1080', '-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '10'], join(folder, 'large.mp4'));
  server = stack.use(await TestServer.start({ env: { TOLD_CPU: join(folder, 'busy'), NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, '..', 'support', 'told-cpu.ts')).href}` } }));
  const camera = await server.addCamera(CAMERA, { pipelines: [] });
  stack.use(ffmpegPush(video, server.rtspUrl(camera), { loop: true }));
  await until('it is live', async () => (await server.request<{ phase: string }>('GET', `/v1/cameras/${CAMERA}`)).phase === 'live');
  const browser = stack.use(await startChromium());
  page = await blankPage(() => browser.context.newPage(), server);
  hlsPage = await browser.context.newPage();
});
afterAll(() => stack.disposeAsync());

const busy = (share: number): Promise<void> => writeFile(join(folder, 'busy'), String(share));
const shown = async (): Promise<Shown | null> => (await server.request<{ shown: Shown | null }>('GET', `/v1/cameras/${CAMERA}/qos`)).shown;
const height = (): Promise<number> => server.metric('imageflow_qos_height', { camera: CAMERA });
const hlsWidth = (): Promise<number> => hlsPage.evaluate(() => document.querySelector('video')?.videoWidth ?? 0);

let files = 0;
const sizeOf = async (picture: Uint8Array): Promise<string> => {
  const path = join(folder, `${String(files++)}.jpg`);
  await writeFile(path, picture);
  return (await promisify(execFile)('ffprobe', ['-v', 'error', '-show_entries', 'stream=width,height', '-of', 'csv=p=0', path])).stdout.trim();
};
/** Of the next picture that an MJPEG shows. */
const mjpegSize = async (query = ''): Promise<string> => {
  const stop = new AbortController();
  try {
    for await (const { bytes } of readParts(await server.fetch(`/v1/cameras/${CAMERA}/mjpeg${query}`, { signal: stop.signal }))) return await sizeOf(bytes);
    return 'none';
  } finally {
    stop.abort();
  }
};
const snapshotSize = async (): Promise<string> => sizeOf(Buffer.from(await (await server.fetch(`/v1/cameras/${CAMERA}/snapshot`)).arrayBuffer()));
/** The viewer by WebRTC is shown one picture after the other, still on its first connection. */
const playsOn = async (): Promise<void> => {
  const before = await reception(page);
  await until('more pictures', async () => (await reception(page)).framesDecoded > before.framesDecoded + 10, SLOW_MS);
  expect((await reception(page)).state).toBe('connected');
  await until('the number in them', async () => await counterShown(page) !== null, SLOW_MS);
};

test('[EXT-2] [EXT-3] [DIS-4] while the processors have no time burned-in video and MJPEGs are smaller, WHEP and LL-HLS play through it, and all are back after it, told with the cause', { timeout: 400_000 }, async () => {
  expect(await shown()).toBeNull();
  await playCamera(page, `${server.http}/whep/${CAMERA}/annotated`, server.token);
  await playHls(hlsPage, `${server.http}/hls/${CAMERA}/annotated/index.m3u8`, server.token);
  await until('full height', async () => await height() === 1080, SLOW_MS);
  expect([(await reception(page)).width, await hlsWidth(), await mjpegSize()]).toEqual([1920, 1920, '1920,1080']);
  expect(await shown()).toEqual({ height: 1080, full_height: 1080, since: null, cause: null });

  await busy(1);
  await until('lowered', async () => await height() === 720, SLOW_MS);
  const playlist = async (name: string): Promise<string> => (await server.fetch(`/hls/${CAMERA}/annotated/${name}`)).text();
  await until('a discontinuity with an init segment of its own', async () => /#EXT-X-MAP:URI="([^"]+)"[\s\S]*#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI="(?!\1")/.test(await playlist('video.m3u8')), SLOW_MS);
  expect(await playlist('index.m3u8')).toContain('RESOLUTION=1280x720');
  await until('smaller by WebRTC', async () => (await reception(page)).width === 1280, SLOW_MS);
  await until('smaller by LL-HLS', async () => await hlsWidth() === 1280, SLOW_MS);
  await playsOn();
  expect([await mjpegSize(), await mjpegSize('?width=640'), await snapshotSize()]).toEqual(['1280,720', '640,360', '1920,1080']);
  expect(await shown()).toEqual({ height: 720, full_height: 1080, since: expect.any(String) as string, cause: 'cpu_busy' });

  await busy(0.2);
  await until('back by WebRTC', async () => (await reception(page)).width === 1920, SLOW_MS);
  await until('back by LL-HLS', async () => await hlsWidth() === 1920, SLOW_MS);
  await playsOn();
  expect(await server.metric('imageflow_viewers', { camera: CAMERA, protocol: 'webrtc-annotated' })).toBe(1);
  const told = await until('both told', async () => {
    const { items } = await server.request<{ items: { event: Told }[] }>('GET', '/v1/events?topic=system-metrics&limit=100');
    return items.length >= 2 && items.map(({ event }) => event);
  });
  expect(told).toMatchObject([
    { event_type: 'shown_height_changed', camera: CAMERA, shown_height: { from: 1080, to: 720, full: 1080, cause: 'cpu_busy' } },
    { event_type: 'shown_height_changed', camera: CAMERA, shown_height: { from: 720, to: 1080, full: 1080, cause: 'recovered' } },
  ]);
});
