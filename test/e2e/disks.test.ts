/** The disk of the recordings is full, or answers nothing: recording pauses and goes on by itself, and nobody who watches sees any of it. On the whole server. */
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { readClip } from '../../demo/mp4-clip.ts';
import type { Clip } from '../../demo/mp4-clip.ts';
import { startChromium } from '../support/chromium.ts';
import { blankPage, playCamera, reception } from '../support/live-peers.ts';
import { clip, ffmpegMake } from '../support/media.ts';
import { NotingCamera } from '../support/noting-camera.ts';
import { gapCausesOf, listedWithoutFile, segmentsOf, startOf } from '../support/recordings.ts';
import { TestServer, until } from '../support/server.ts';
import type { Camera } from '../support/server.ts';
import { StoppableDisk, smallDisk } from '../support/test-disks.ts';

const CAMERAS = 5;
/** Two deadlines of ten seconds, and what a busy machine makes of them. */
const ALARM_MS = 120_000;
const TEST_MS = 600_000;

let folder: string;
let media: Clip;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imageflow-disks-'));
  media = await readClip(await ffmpegMake(['-i', clip('vtest-720p30-baseline.mp4'), '-vf', 'scale=320:-2', '-c:v', 'libx264', '-preset', 'veryfast', '-bf', '0', '-g', '30'], join(folder, 'small.mp4')));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A server whose recordings lie on `disk`, cameras that are recorded, and a browser that watches the first of them. */
const setUp = async <Disk extends AsyncDisposable>(stack: AsyncDisposableStack, name: string, mount: (recordings: string) => Promise<Disk>) => {
  const dataDir = join(folder, name);
  const disk = stack.use(await mount(join(dataDir, 'recordings')));
  const server = stack.use(await TestServer.start({ dataDir, env: { IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '3' } }));
  const cameras: Camera[] = [];
  const publishers: NotingCamera[] = [];
  for (let i = 0; i < CAMERAS; i++) {
    const camera = await server.addCamera(`camera-${String(i)}`, { pipelines: [] });
    cameras.push(camera);
    publishers.push(stack.use(new NotingCamera(media, server, camera)));
  }
  const browser = stack.use(await startChromium());
  const page = await blankPage(() => browser.context.newPage(), server);
  await until('somebody watches', async () => { await playCamera(page, cameras[0]!.urls['whep']!, server.token); return true; }, ALARM_MS);
  await recording(server, cameras, 0);
  return { disk, server, cameras, publishers, page };
};

const recording = (server: TestServer, cameras: readonly Camera[], since: number): Promise<unknown> =>
  until('every camera is recorded', async () => (await Promise.all(cameras.map(({ id }) => segmentsOf(server, id)))).every((all) => all.some((segment) => segment.open && startOf(segment) > since)), ALARM_MS);

/** The cameras whose recording an alarm is raised for. */
const alarmed = async (server: TestServer): Promise<string[]> =>
  (await server.request<{ items: { id: string }[] }>('GET', '/v1/alarms?raised=true&limit=100')).items.map(({ id }) => id).filter((id) => id.startsWith('recording/camera-')).sort();

const expectResumed = async (server: TestServer, cameras: readonly Camera[], since: number): Promise<void> => {
  await until('no alarm is left', async () => (await alarmed(server)).length === 0, ALARM_MS);
  await recording(server, cameras, since);
};

/** The viewer has seen `seconds` more of pictures, over the connection it had, and lost none. */
const watchesOn = async (page: Page, seconds: number): Promise<void> => {
  const { framesDecoded } = await reception(page);
  await until('the viewer goes on watching', async () => (await reception(page)).framesDecoded >= framesDecoded + seconds * 30, 60_000 + seconds * 2_000);
  expect(await reception(page)).toMatchObject({ state: 'connected', packetsLost: 0 });
};

/** Recorded again, with the time without on record; the index is the files, and they play. */
const expectWhole = async (server: TestServer, cameras: readonly Camera[]): Promise<void> => {
  for (const { id } of cameras) {
    expect(await gapCausesOf(server, id)).toContain('disk');
    expect(await listedWithoutFile(server, id)).toEqual([]);
  }
};

test('[REC-3] a full disk: recording pauses with an alarm and resumes by itself; the viewer loses nothing', async () => {
  await using stack = new AsyncDisposableStack();
  const { disk: hog, server, cameras, publishers, page } = await setUp(stack, 'full', async (recordings) => {
    const disk = await smallDisk(recordings, 24);
    return { path: join(recordings, 'hog'), [Symbol.asyncDispose]: () => disk[Symbol.asyncDispose]() };
  });
  // Somebody else takes what is free, and what retention frees.
  const raised = until('the alarm of every camera', async () => {
    await writeFile(hog.path, Buffer.alloc(1 << 20), { flag: 'a' }).catch(() => undefined);
    return (await alarmed(server)).length === CAMERAS;
  }, ALARM_MS);
  await watchesOn(page, 3);
  await raised;
  await watchesOn(page, 3);
  expect(await server.metric('imageflow_branch_dropped_total', { branch: 'recorder' })).toBeGreaterThan(0);
  await truncate(hog.path, 0);
  await expectResumed(server, cameras, Date.now());
  await watchesOn(page, 3);
  for (const publisher of publishers) await publisher[Symbol.asyncDispose]();
  await expectWhole(server, cameras);
}, TEST_MS);

test('[REC-3] a disk that answers nothing: recording pauses with an alarm and resumes by itself; who watches and who comes sees nothing of it', async () => {
  await using stack = new AsyncDisposableStack();
  const { disk, server, cameras, publishers, page } = await setUp(stack, 'stopped', (recordings) => StoppableDisk.mount(recordings));
  disk.stop();
  await watchesOn(page, 3);
  await until('the alarm of every camera', async () => (await alarmed(server)).length === CAMERAS, ALARM_MS);
  // The edge has more cameras than threads for its disk; none of them may be needed for what follows.
  await watchesOn(page, 20);
  const late = await server.addCamera('camera-late', { pipelines: [] });
  publishers.push(stack.use(new NotingCamera(media, server, late)));
  await until('another viewer watches another camera', async () => { await playCamera(page, late.urls['whep']!, server.token, 'late'); return true; }, ALARM_MS);
  await watchesOn(page, 3);
  expect(await server.metric('imageflow_branch_dropped_total', { branch: 'recorder' })).toBeGreaterThan(0);
  disk.go();
  await expectResumed(server, [...cameras, late], Date.now());
  await watchesOn(page, 3);
  for (const publisher of publishers) await publisher[Symbol.asyncDispose]();
  await expectWhole(server, cameras);
}, TEST_MS);
