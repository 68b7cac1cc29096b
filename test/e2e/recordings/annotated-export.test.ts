import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startChromium } from '../../support/chromium.ts';
import { settledDetections } from '../../support/detections.ts';
import type { StoredDetection } from '../../support/detections.ts';
import { blankPage } from '../../support/live-peers.ts';
import { clip, ffmpegPush } from '../../support/media.ts';
import { expectPlaysEverywhere } from '../../support/plays-everywhere.ts';
import { closedSegments, endOf, playbackPath, startOf } from '../../support/recordings.ts';
import { TestServer, until } from '../../support/server.ts';

const run = promisify(execFile);

interface Export { readonly id: string; readonly state: string; readonly progress: number; readonly pictures: number; readonly undecodable: number; readonly missing_segments: number; readonly boxes: number; readonly bytes: number | null; readonly error: string | null; readonly expires_at: string | null }

let server: TestServer;
let range: { readonly from: number; readonly to: number };
beforeAll(async () => {
  server = await TestServer.start({ env: { IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '2' } });
  const pushing = ffmpegPush(clip('counter-720p30.mp4'), server.rtspUrl(await server.addCamera('line', { pipelines: ['detect'] })), { input: ['-t', '6'] });
  expect((await pushing.exit).code).toBe(0);
  const segments = await closedSegments(server, 'line');
  const [first, last] = [segments[0], segments.at(-1)];
  if (!first || !last) throw new Error('nothing was recorded');
  range = { from: startOf(first), to: endOf(last) };
}, 120_000);
afterAll(async () => { await server[Symbol.asyncDispose](); });

const iso = (at: number): string => new Date(at).toISOString();
const ask = (from = range.from, to = range.to, more: object = {}): Promise<Export> => server.request<Export>('POST', '/v1/recordings/line/exports', { from: iso(from), to: iso(to), ...more });
const look = (id: string): Promise<Export> => server.request<Export>('GET', `/v1/exports/${id}`);
const ended = (id: string): Promise<Export> => until(`export ${id} ended`, async () => {
  const now = await look(id);
  return !['queued', 'running'].includes(now.state) && now;
}, 120_000);
const saved = async (path: string, name: string): Promise<string> => {
  const response = await server.fetch(path);
  expect(response.status).toBe(200);
  const file = join(server.dataDir, name);
  await writeFile(file, Buffer.from(await response.arrayBuffer()));
  return file;
};

/** When each picture is shown, milliseconds from the first. */
const timesOf = async (file: string): Promise<number[]> => {
  const { stdout } = await run('ffprobe', ['-v', 'error', '-select_streams', 'v', '-show_entries', 'frame=best_effort_timestamp_time', '-of', 'csv=p=0', file]);
  const times = stdout.split('\n').flatMap((line) => (line === '' ? [] : [parseFloat(line) * 1000]));
  return times.map((time) => time - (times[0] ?? 0));
};

/** Every picture in RGB, as a player shows it. */
const picturesOf = async (file: string): Promise<Buffer[]> => {
  const { stdout } = await run('ffmpeg', ['-v', 'error', '-i', file, '-vf', 'scale=640:360', '-fps_mode', 'passthrough', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'], { encoding: 'buffer', maxBuffer: 1 << 30 });
  return Array.from({ length: stdout.length / PICTURE }, (_, i) => stdout.subarray(i * PICTURE, (i + 1) * PICTURE));
};
const [WIDTH, HEIGHT] = [640, 360];
const PICTURE = WIDTH * HEIGHT * 3;

/** The mean distance of two pictures along the left edge of a box in the colour they differ most in, 0..255. Boxes are in pixels of 1280x720. */
const apart = (a: Buffer, b: Buffer, { x, y, height }: StoredDetection['bbox']): number => {
  const column = Math.max(0, Math.min(WIDTH - 1, Math.round(x / 2)));
  const [sums, count] = [[0, 0, 0], Math.max(1, Math.min(HEIGHT, (y + height) / 2 - 2) - Math.max(0, Math.ceil(y / 2) + 2))];
  for (let row = Math.max(0, Math.ceil(y / 2) + 2); row < Math.min(HEIGHT, (y + height) / 2 - 2); row++) {
    for (const channel of [0, 1, 2]) sums[channel] = (sums[channel] ?? 0) + Math.abs((a[(row * WIDTH + column) * 3 + channel] ?? 0) - (b[(row * WIDTH + column) * 3 + channel] ?? 0)) / count;
  }
  return Math.max(...sums);
};

test('[REC-5] an export has every picture of the playback at its time, with each box on the very picture it was found in and on no other', { timeout: 240_000 }, async () => {
  const detections = await settledDetections(server, 'camera=line');
  const job = await ask();
  const done = await ended(job.id);
  expect(done).toMatchObject({ state: 'done', progress: 1, undecodable: 0, missing_segments: 0, error: null });
  expect(detections.length).toBeGreaterThan(0);
  expect(done.boxes).toBe(detections.length);
  const file = await saved(`/v1/exports/${job.id}/file`, 'export.mp4');
  const played = await saved(playbackPath('line', range.from, range.to), 'playback.mp4');

  const [times, wanted] = [await timesOf(file), await timesOf(played)];
  const ends = [times, wanted].map((all) => [...all.slice(0, 3), ...all.slice(-3)]);
  expect({ drawn: times.length, told: done.pictures }, JSON.stringify(ends)).toEqual({ drawn: wanted.length, told: wanted.length });
  expect(Math.max(...times.map((time, i) => Math.abs(time - (wanted[i] ?? 0))))).toBeLessThan(0.1);
  const { stdout } = await run('ffprobe', ['-v', 'error', '-show_entries', 'stream=codec_name,width,height', '-of', 'csv=p=0', file]);
  expect(stdout.trim()).toBe('h264,1280,720');
  await using browser = await startChromium();
  expect((await expectPlaysEverywhere(await blankPage(() => browser.context.newPage(), server), file)).counted).toBe(wanted.length);
  const whole = await server.fetch(`/v1/exports/${job.id}/file`).then((response) => response.arrayBuffer());
  expect(Buffer.from(whole).indexOf('moov')).toBeLessThan(Buffer.from(whole).indexOf('mdat'));

  // The recording has every picture of the publication, so the number of a picture in it is the detection's own.
  const [drawn, plain] = [await picturesOf(file), await picturesOf(played)];
  const changed = (i: number, bbox: StoredDetection['bbox']): boolean => apart(drawn[i] ?? Buffer.alloc(0), plain[i] ?? Buffer.alloc(0), bbox) > 18;
  const seen = Map.groupBy(detections, ({ sequence }) => sequence);
  for (const [i, boxes] of seen) for (const { bbox } of boxes) if (bbox.height > 60) expect(changed(i, bbox), `picture ${String(i)}`).toBe(true);
  const without = wanted.flatMap((_, i) => (seen.has(i) ? [] : [i]));
  expect(without.length).toBeGreaterThan(0);
  for (const i of without) for (const { bbox } of seen.get(i - 1) ?? []) expect(changed(i, bbox), `picture ${String(i)}`).toBe(false);
});

test('[REC-5] the file of an export answers ranges and its ETag, and is gone after DELETE', { timeout: 120_000 }, async () => {
  const { id } = await ask(range.from, range.from + 1000);
  const { bytes, expires_at } = await ended(id);
  expect(Date.parse(expires_at ?? '') - Date.now()).toBeGreaterThan(23 * 3_600_000);
  const path = `/v1/exports/${id}/file`;
  const whole = await server.fetch(path);
  expect(whole.headers.get('content-length')).toBe(String(bytes));
  const all = Buffer.from(await whole.arrayBuffer());
  const part = await server.fetch(path, { headers: { range: 'bytes=100-199' } });
  expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 100-199/${String(bytes)}`]);
  expect(Buffer.from(await part.arrayBuffer())).toEqual(all.subarray(100, 200));
  expect((await server.fetch(path, { headers: { 'if-none-match': whole.headers.get('etag') ?? '' } })).status).toBe(304);
  await server.request('DELETE', `/v1/exports/${id}`);
  expect((await server.fetch(path)).status).toBe(404);
  expect((await server.fetch(`/v1/exports/${id}`)).status).toBe(404);
  await expect.poll(() => existsSync(join(server.dataDir, 'exports', `${id}.mp4`))).toBe(false);
});

test('[REC-5] an export that is cancelled ends, and leaves nothing on the disk', { timeout: 120_000 }, async () => {
  const { id } = await ask();
  await until('it runs', async () => (await look(id)).state === 'running' && (await server.pids('exporter')).length > 0);
  await server.request('DELETE', `/v1/exports/${id}`);
  expect((await look(id)).state).toBe('cancelled');
  expect((await server.fetch(`/v1/exports/${id}/file`)).status).toBe(409);
  await until('the exporter is gone', async () => (await server.pids('exporter')).length === 0);
  await until('its file is gone', async () => (await readdir(join(server.dataDir, 'exports'))).every((name) => !name.startsWith(id)));
});

test('[REC-5] a killed exporter costs its own export, which says so; the server and the next export go on', { timeout: 120_000 }, async () => {
  const { id } = await ask();
  const [pid] = await until('an exporter', async () => { const pids = await server.pids('exporter'); return pids.length > 0 && pids; });
  if (pid === undefined) throw new Error('no exporter');
  const control = await server.pids('control');
  process.kill(pid, 'SIGKILL');
  const failed = await ended(id);
  expect(failed.state).toBe('failed');
  expect(failed.error).toMatch(/camera line .*SIGKILL.* ask for it again/);
  expect(await server.pids('control')).toEqual(control);
  expect((await ended((await ask(range.from, range.from + 500)).id)).state).toBe('done');
});

test('[REC-5] an export is refused where nothing was recorded, beyond an hour, and of an analysis that is not there', async () => {
  await server.addCamera('empty');
  const post = async (camera: string, body: unknown): Promise<number> => (await server.fetch(`/v1/recordings/${camera}/exports`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })).status;
  expect(await post('empty', { from: iso(range.from), to: iso(range.to) })).toBe(404);
  expect(await post('line', { from: iso(range.from - 4_000_000), to: iso(range.to) })).toBe(422);
  expect(await post('line', { from: iso(range.to), to: iso(range.from) })).toBe(400);
  expect(await post('line', { from: iso(range.from), to: iso(range.to), analysis: 'no-such' })).toBe(404);
});
