import { execFileSync } from 'node:child_process';
import { openAsBlob } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openDatabase } from '../../../platform/database/open.ts';
import { startChromium } from '../../support/chromium.ts';
import { blankPage } from '../../support/live-peers.ts';
import { clip, ffmpegMake, ffmpegPush } from '../../support/media.ts';
import { packetsOf } from '../../support/mp4-packets.ts';
import { expectPlaysEverywhere } from '../../support/plays-everywhere.ts';
import { closedSegments, endOf, filesOf, playbackPath, recordedPictures, startOf } from '../../support/recordings.ts';
import { TestServer, until } from '../../support/server.ts';
import type { Camera } from '../../support/server.ts';

/** ffmpeg sends its first half second at once, which puts recorded time ahead: the outage is what is longer. */
const OUTAGE_MS = 6_000;
const stack = new AsyncDisposableStack();
let folder: string;
let server: TestServer;

interface Report {
  readonly camera: string;
  readonly taken: readonly { readonly from: string; readonly to: string }[];
  readonly already_recorded: readonly { readonly from: string; readonly to: string }[];
  readonly segments: number;
  readonly pictures: number;
  readonly mark?: { readonly id: string; readonly from: string; readonly to: string; readonly work_order_id: string | null; readonly tags: readonly string[] } | null;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imageflow-uploads-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  server = stack.use(await TestServer.start({ env: { IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '2', IMAGEFLOW_RECORDER_UPLOAD_MAX_BYTES: String(64 << 20) } }));
});
afterAll(() => stack.disposeAsync());

const iso = (at: number): string => new Date(at).toISOString();
const upload = async (camera: string, path: string, start: number, more: { readonly query?: string; readonly headers?: Readonly<Record<string, string>> } = {}): Promise<Response> =>
  server.fetch(`/v1/recordings/${camera}/uploads?start=${iso(start)}${more.query ?? ''}`, {
    method: 'POST', headers: { 'content-type': 'video/mp4', ...more.headers }, body: await openAsBlob(path),
  });
const deviceFile = (name: string, seconds: number, output: readonly string[] = []): Promise<string> =>
  ffmpegMake(['-f', 'lavfi', '-i', `testsrc2=size=320x240:rate=25:duration=${String(seconds)}`, '-f', 'lavfi', '-i', `sine=duration=${String(seconds)}`, '-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '2', '-g', '12', '-pix_fmt', 'yuv420p', '-c:a', 'aac', ...output], join(folder, name));
const command = (...args: readonly string[]): string =>
  execFileSync(process.execPath, [join(import.meta.dirname, '..', '..', '..', 'main.ts'), ...args], { encoding: 'utf8', env: { ...process.env, IMAGEFLOW_DATA_DIR: server.dataDir } });
const gapsOf = async (camera: string): Promise<{ start: number; end: number }[]> =>
  (await server.request<{ items: { start: string; end: string }[] }>('GET', `/v1/recordings/${camera}/gaps?limit=100`)).items.map(({ start, end }) => ({ start: Date.parse(start), end: Date.parse(end) }));
const rowsOf = async (path: string): Promise<unknown[]> => {
  const db = await openDatabase(path);
  const rows = await db.selectFrom('segments').selectAll().orderBy('id').execute();
  await db.destroy();
  return rows;
};

const publishFor = async (camera: Camera, recordings: number): Promise<void> => {
  await using _ = ffmpegPush(clip('counter-720p30.mp4'), server.rtspUrl(camera), { loop: true });
  await until(`${String(recordings)} closed recordings`, async () => (await filesOf(server.dataDir, camera.id).catch(() => [])).length > recordings);
};

test('[SD-52] a device\'s own recording fills the outage of its camera, without a picture twice, and is a recording as any other', async () => {
  const camera = await server.addCamera('wearable', { pipelines: [] });
  await publishFor(camera, 2);
  const before = await closedSegments(server, camera.id);
  await new Promise((resolve) => { setTimeout(resolve, OUTAGE_MS); });
  await publishFor(camera, before.length + 2);
  const live = await closedSegments(server, camera.id);
  const outage = (await gapsOf(camera.id)).find(({ start, end }) => end - start > 2_000);
  if (!outage) throw new Error('nothing is missing');

  // It covers the outage and two seconds on either side of it.
  const start = outage.start - 2_000;
  const seconds = Math.ceil((outage.end + 1_500 - start) / 1000);
  const path = await deviceFile('device.mp4', seconds);
  const answer = await upload(camera.id, path, start, { headers: { authorization: `Bearer ${camera.publish_key}` } });
  const text = await answer.text();
  expect([answer.status, text]).toEqual([201, expect.any(String)]);
  const report = JSON.parse(text) as Report;
  expect(report.taken).toHaveLength(1);
  expect(report.already_recorded).toHaveLength(2);
  const [taken] = report.taken.map(({ from, to }) => ({ from: Date.parse(from), to: Date.parse(to) }));
  expect(taken?.from).toBeGreaterThanOrEqual(outage.start - 1);
  expect(taken?.from).toBeLessThanOrEqual(outage.start + 521); // the next of its key frames, every 480 ms
  expect(taken?.to).toBeLessThanOrEqual(outage.end + 1);
  expect(taken?.to).toBeGreaterThanOrEqual(outage.end - 200); // less than its reordered pictures

  // The index has it, the gap has gone, and nothing is there twice.
  const all = await until('the index has the upload', async () => {
    const segments = await closedSegments(server, camera.id);
    return segments.length === live.length + report.segments && segments;
  });
  expect(report.segments).toBeGreaterThanOrEqual(2);
  for (const gap of await gapsOf(camera.id)) expect(gap.end - gap.start).toBeLessThan(600);
  const pictures = await recordedPictures(server.dataDir, camera.id);
  const hashes = new Set((await packetsOf(path)).map(({ hash }) => hash));
  const uploaded = pictures.filter(({ hash }) => hashes.has(hash));
  expect(uploaded).toHaveLength(report.pictures);
  const walls = pictures.map(({ wall }) => wall).sort((a, b) => a - b);
  expect(walls.every((wall, i) => i === 0 || wall - (walls[i - 1] ?? 0) > 1)).toBe(true);

  // One playback across both.
  const [first, last] = [all[0], all.at(-1)];
  if (!first || !last) throw new Error('nothing recorded');
  const playback = join(folder, 'playback.mp4');
  await writeFile(playback, Buffer.from(await (await server.fetch(playbackPath(camera.id, startOf(first) - 10, endOf(last) + 10))).arrayBuffer()));
  await using browser = await startChromium();
  const page = await blankPage(() => browser.context.newPage(), server);
  expect((await expectPlaysEverywhere(page, playback)).counted).toBe(pictures.length);
  const around = join(folder, 'around.mp4');
  await writeFile(around, Buffer.from(await (await server.fetch(playbackPath(camera.id, (taken?.from ?? 0) + 5, (taken?.to ?? 0) - 5))).arrayBuffer()));
  expect((await expectPlaysEverywhere(page, around)).counted).toBeGreaterThanOrEqual(report.pictures - 2);
  const known = new Set(live.map(({ id }) => id));
  const brought = (await filesOf(server.dataDir, camera.id)).filter(({ id }) => !known.has(id));
  expect(brought).toHaveLength(report.segments);
  for (const file of brought) await expectPlaysEverywhere(page, file.path);
  expect((await server.fetch(`/v1/recordings/${camera.id}/thumbnail?at=${iso((taken?.from ?? 0) + 1_000)}`)).status).toBe(200);

  // Signed, chained, and known from the files alone.
  expect(command('record', 'verify')).toMatch(/ 0 problems\n$/);
  const rebuilt = join(folder, 'rebuilt.db');
  command('record', 'rebuild', '--into', rebuilt);
  expect(await rowsOf(rebuilt)).toEqual(await rowsOf(join(server.dataDir, 'imageflow.db')));

  // Again: nothing new.
  const files = await filesOf(server.dataDir, camera.id);
  const again = await upload(camera.id, path, start);
  expect([again.status, await again.json()]).toMatchObject([200, { taken: [], segments: 0, pictures: 0 }]);
  expect(await filesOf(server.dataDir, camera.id)).toEqual(files);
  expect(await readdir(join(server.dataDir, 'uploads'))).toEqual([]);
});

test('[SD-52] fragmented, and recorded with moov first, are as good; what a live camera is recording goes on meanwhile', async () => {
  const camera = await server.addCamera('busy', { pipelines: [] });
  await using _ = ffmpegPush(clip('counter-720p30.mp4'), server.rtspUrl(camera), { loop: true });
  await until('it is recorded', async () => (await filesOf(server.dataDir, camera.id).catch(() => [])).length > 0);
  const now = Date.now();
  for (const [name, flags, ago] of [['fragmented.mp4', 'frag_keyframe+empty_moov', 60_000], ['faststart.mp4', 'faststart', 40_000]] as const) {
    const answer = await upload(camera.id, await deviceFile(name, 5, ['-movflags', flags]), now - ago);
    expect([answer.status, await answer.json()]).toMatchObject([201, { pictures: 125, already_recorded: [] }]);
  }
  const { phase } = (await server.request<{ session: { phase: string } }>('GET', `/v1/cameras/${camera.id}`)).session;
  expect(phase).toBe('live');
  await until('the next live segment', async () => (await filesOf(server.dataDir, camera.id)).length > 8);
  expect(command('record', 'verify')).toMatch(/ 0 problems\n$/);
});

test('[SD-52] [REC-6] what an upload says of its product and work order is found by search, once however often it is sent', async () => {
  const camera = await server.addCamera('marked', { pipelines: [] });
  const path = await deviceFile('marked.mp4', 4);
  const start = Date.now() - 60_000;
  const query = '&work_order_id=WO-77&product_type=pump&tags=night,left&monthly_sequence=12';
  const device = { authorization: `Bearer ${camera.publish_key}` };
  const answers: Report[] = [];
  for (const status of [201, 200]) {
    const answer = await upload(camera.id, path, start, { query, headers: device });
    const text = await answer.text();
    expect([answer.status, text]).toEqual([status, expect.any(String)]);
    answers.push(JSON.parse(text) as Report);
  }
  expect(answers[0]?.mark).toMatchObject({ camera: camera.id, kind: 'link', from: iso(start), to: iso(start + 4_000), work_order_id: 'WO-77', tags: ['left', 'night'], monthly_sequence: 12, created_by: 'device' });
  expect(answers[1]?.mark?.id).toBe(answers[0]?.mark?.id);
  const found = await until('it is found', async () => {
    const { items } = await server.request<{ items: { camera: string; from: string }[] }>('GET', '/v1/recordings?work_order_id=WO-77&tags=night');
    return items.length > 0 && items;
  });
  expect(found).toHaveLength(1);
  const refused = await upload(camera.id, path, start, { query: '&production_date=yesterday' });
  expect([refused.status, refused.headers.get('content-type')]).toEqual([400, 'application/problem+json']);
});

test('[SD-52] what is no such file is refused with a reason, and nothing of it stays', async () => {
  const camera = await server.addCamera('refused', { pipelines: [] });
  const good = await deviceFile('good.mp4', 4);
  const start = Date.now() - 30_000;
  const refusal = async (answer: Promise<Response>): Promise<unknown> => {
    const response = await answer;
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    return [response.status, ((await response.json()) as { code: string }).code];
  };
  const garbage = join(folder, 'garbage.mp4');
  await writeFile(garbage, Buffer.alloc(100_000, 0x5a));
  expect(await refusal(upload(camera.id, garbage, start))).toEqual([422, 'FILE_NOT_USABLE']);
  const fast = await deviceFile('fast.mp4', 4, ['-movflags', 'faststart']);
  const cut = join(folder, 'cut.mp4');
  await writeFile(cut, (await readFile(fast)).subarray(0, Math.floor((await stat(fast)).size * 0.7)));
  expect(await refusal(upload(camera.id, cut, start))).toEqual([422, 'FILE_NOT_USABLE']);
  const hevc = await ffmpegMake(['-f', 'lavfi', '-i', 'testsrc2=size=320x240:rate=25:duration=1', '-c:v', 'libx265', '-x265-params', 'log-level=error'], join(folder, 'hevc.mp4'));
  expect(await refusal(upload(camera.id, hevc, start))).toEqual([422, 'CODEC_NOT_SUPPORTED']);
  expect(await refusal(upload(camera.id, good, Date.now() + 3_600_000))).toEqual([422, 'IN_THE_FUTURE']);
  expect(await refusal(upload(camera.id, good, Date.now() - 1_000))).toEqual([422, 'IN_THE_FUTURE']);
  expect(await refusal(upload(camera.id, good, Date.now() - 3_600_000))).toEqual([422, 'BEFORE_WINDOW']);
  expect(await refusal(upload(camera.id, good, start, { headers: { 'content-type': 'video/webm' } }))).toEqual([415, 'UNSUPPORTED_MEDIA_TYPE']);
  expect(await refusal(server.fetch(`/v1/recordings/${camera.id}/uploads?start=yesterday`, { method: 'POST', headers: { 'content-type': 'video/mp4' }, body: 'x' }))).toEqual([400, 'START_INVALID']);
  expect(await refusal(upload(camera.id, good, start, { headers: { authorization: 'Bearer nobody' } }))).toEqual([401, 'TOKEN_INVALID']);
  const large = join(folder, 'large.mp4');
  await writeFile(large, Buffer.alloc((64 << 20) + 1));
  expect(await refusal(server.fetch(`/v1/recordings/${camera.id}/uploads?start=${iso(start)}`, { method: 'POST', headers: { 'content-type': 'video/mp4' }, body: await readFile(large) }))).toEqual([413, 'PAYLOAD_TOO_LARGE']);
  expect(await readdir(join(server.dataDir, 'uploads'))).toEqual([]);
  expect(await filesOf(server.dataDir, camera.id).catch(() => [])).toEqual([]);
});

test('[SD-52] of an upload that its client, or a kill of the edge, breaks off nothing stays', async () => {
  const camera = await server.addCamera('broken', { pipelines: [] });
  const folderOf = join(server.dataDir, 'uploads');
  const begin = async () => {
    const request = httpRequest(`${server.http}/v1/recordings/${camera.id}/uploads?start=${iso(Date.now() - 60_000)}`, { method: 'POST', headers: { 'content-type': 'video/mp4', 'content-length': 32 << 20, 'authorization': `Bearer ${camera.publish_key}` } });
    request.on('error', () => undefined);
    request.write(Buffer.alloc(1 << 20));
    await until('it comes', async () => (await readdir(folderOf)).length === 1);
    return request;
  };
  (await begin()).destroy();
  await until('nothing is left', async () => (await readdir(folderOf)).length === 0);
  const second = await begin();
  const [pid] = await server.pids('edge');
  if (pid === undefined) throw new Error('no edge');
  process.kill(pid, 'SIGKILL');
  await until('nothing is left at the next start', async () => (await readdir(folderOf)).length === 0);
  second.destroy();
  const path = await deviceFile('after.mp4', 3);
  const answer = await until('uploads are taken again', async () => { const response = await upload(camera.id, path, Date.now() - 20_000); return response.status === 201 && ((await response.json()) as Report); });
  expect(answer.pictures).toBe(75);
});
