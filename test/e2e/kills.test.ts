/** kill -9 of every process while two cameras record and two browsers watch: what each may cost, and that the index equals the files afterwards. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { startChromium } from '../support/chromium.ts';
import { blankPage, playCamera, reception } from '../support/live-peers.ts';
import { clip } from '../support/media.ts';
import { decodedPictures } from '../support/mp4-packets.ts';
import { closedSegments, endOf, filesOf, playbackPath, segmentsOf, startOf } from '../support/recordings.ts';
import { RespawningCamera } from '../support/respawning-camera.ts';
import { TestServer, until } from '../support/server.ts';
import type { Camera } from '../support/server.ts';

const CAMERAS = ['left', 'right'] as const;
const CLIP = 'vtest-720p30-baseline.mp4';
/** What a crash may take: a part that is being filled and one that is being written. */
const MOST_LOST_MS = 400 + 250;

const stack = new AsyncDisposableStack();
let dataDir: string;
let server: TestServer;
const cameras: Camera[] = [];
const publishers: RespawningCamera[] = [];
const pages: Page[] = [];

const startServer = (): Promise<TestServer> => TestServer.start({ dataDir, env: { IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '4' } });
const viewer = (attempt: number): string => `viewer-${String(attempt)}`;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'imageflow-kills-'));
  stack.defer(() => rm(dataDir, { recursive: true, force: true, maxRetries: 5 }));
  server = await startServer();
  stack.defer(() => server[Symbol.asyncDispose]());
  for (const id of CAMERAS) {
    const camera = await server.addCamera(id);
    cameras.push(camera);
    publishers.push(stack.use(new RespawningCamera(clip(CLIP), server.rtspUrl(camera))));
    const browser = stack.use(await startChromium());
    pages.push(await blankPage(() => browser.context.newPage(), server));
  }
  await watch(0);
});
afterAll(() => stack.disposeAsync());

const watch = async (attempt: number): Promise<void> => {
  for (const [i, camera] of cameras.entries()) {
    await until(`somebody can watch ${camera.id}`, async () => { await playCamera(pages[i]!, camera.urls['whep']!, server.token, viewer(attempt)); return true; }, 30_000);
  }
};
const decoded = (attempt: number): Promise<number[]> => Promise.all(pages.map(async (page) => (await reception(page, viewer(attempt))).framesDecoded));
/** Both browsers have decoded `more` pictures over connections that were never made anew. */
const watchingOn = async (attempt: number, more: number): Promise<void> => {
  const before = await decoded(attempt);
  await until('both browsers go on watching', async () => (await decoded(attempt)).every((frames, i) => frames >= (before[i] ?? 0) + more));
  for (const page of pages) expect((await reception(page, viewer(attempt))).state).toBe('connected');
};
/** Kills the one process of a role; resolves when another one is there. */
const kill = async (role: string): Promise<void> => {
  const [pid, ...others] = await server.pids(role);
  expect(others).toEqual([]);
  process.kill(pid!, 'SIGKILL');
  await until(`another ${role}`, async () => { const [now] = await server.pids(role); return now !== undefined && now !== pid; });
};
const newestDetection = async (camera: string): Promise<number> => {
  const { items } = await server.request<{ items: { captured_at: string }[] }>('GET', `/v1/detections?camera=${camera}&from=${new Date(Date.now() - 5_000).toISOString()}&limit=1000`);
  return Math.max(0, ...items.map(({ captured_at }) => Date.parse(captured_at)));
};
const detectionsOf = async (since: number): Promise<void> => {
  for (const { id } of cameras) await until(`detections of ${id}`, async () => await newestDetection(id) > since);
};
const expectIndexIsFiles = async (): Promise<void> => {
  for (const { id } of cameras) {
    const segments = await closedSegments(server, id);
    const files = await filesOf(dataDir, id);
    expect(segments.map(({ id: segment, bytes, sha256 }) => ({ id: segment, bytes, sha256 }))).toEqual(files.map(({ id: file, bytes, sha256 }) => ({ id: file, bytes, sha256 })));
    for (const { path } of files) expect(await decodedPictures(path), path).toBeGreaterThan(0);
  }
};

test('[D-9] control: viewers, recording and detections go on, and nothing is missing from its database afterwards', async () => {
  await kill('control');
  const killed = Date.now();
  await watchingOn(0, 60);
  await until('control answers', async () => (await server.fetch('/v1/health/ready')).status === 200);
  await detectionsOf(killed);
  for (const { id } of cameras) expect((await segmentsOf(server, id)).map(({ gap_before }) => gap_before)).not.toContainEqual(expect.any(Number));
});

test('[EXT-7] worker and extractor: detections pause, everything else goes on', async () => {
  for (const role of ['worker', 'extractor']) {
    await kill(role);
    const killed = Date.now();
    await watchingOn(0, 30);
    await detectionsOf(killed);
  }
  for (const { id } of cameras) expect((await segmentsOf(server, id)).map(({ gap_before }) => gap_before)).not.toContainEqual(expect.any(Number));
});

test('[REC-3] edge: cameras and viewers come back; at most a part and the outage are missing from the recording', async () => {
  const killed = Date.now();
  await kill('edge');
  await watch(1);
  await watchingOn(1, 30);
  for (const { id } of cameras) {
    const segments = await until(`${id} recorded again`, async () => { const all = await segmentsOf(server, id); return all.some((segment) => startOf(segment) > killed) && all; });
    const before = segments.filter((segment) => startOf(segment) <= killed).at(-1);
    expect(killed - endOf(before!), `${id}: lost`).toBeLessThanOrEqual(MOST_LOST_MS);
    expect(segments.find((segment) => startOf(segment) > killed)?.gap_before).toBeGreaterThan(0);
  }
});

test('[REC-3] supervisor: its processes go with it, a new one takes the data over, and the index equals the files', async () => {
  const children = [...await server.pids('edge'), ...await server.pids('control'), ...await server.pids('worker'), ...await server.pids('extractor')];
  process.kill(server.child.pid!, 'SIGKILL');
  await until('no process is left', () => children.every((pid) => { try { process.kill(pid, 0); return false; } catch { return true; } }), 5_000);
  server = await startServer();
  for (const [i, camera] of cameras.entries()) {
    publishers[i]!.moveTo(server.rtspUrl(camera));
    await until(`${camera.id} is live`, async () => (await server.request<{ phase: string }>('GET', `/v1/cameras/${camera.id}`)).phase === 'live', 30_000);
  }
  await until('something is recorded', async () => (await Promise.all(CAMERAS.map((id) => segmentsOf(server, id)))).every((all) => all.at(-1)?.open === true));
  for (const publisher of publishers) await publisher[Symbol.asyncDispose]();
  await expectIndexIsFiles();
});

test('[REC-3] the database deleted: cameras, recordings and playback come back from the files', async () => {
  const before = new Map(await Promise.all(CAMERAS.map(async (id) => [id, await segmentsOf(server, id)] as const)));
  expect(await server.stop()).toBe(0);
  for (const suffix of ['', '-wal', '-shm']) await rm(join(dataDir, `imageflow.db${suffix}`), { force: true });
  server = await startServer();
  for (const id of CAMERAS) {
    const known = before.get(id)!;
    const again = await until(`the recordings of ${id}`, async () => { const all = await segmentsOf(server, id); return all.length >= known.length && all; });
    expect(again.map(({ id: segment, bytes, sha256 }) => ({ segment, bytes, sha256 }))).toEqual(known.map(({ id: segment, bytes, sha256 }) => ({ segment, bytes, sha256 })));
    const last = again.at(-1)!;
    const response = await server.fetch(playbackPath(id, Math.ceil(startOf(last)), Math.floor(endOf(last))));
    expect(response.status).toBe(200);
    expect((await response.arrayBuffer()).byteLength).toBeGreaterThan(10_000);
  }
  await expectIndexIsFiles();
});
