/** What a linked range is good for when retention has taken its files: everything, from the archive alone. */
import { execFileSync } from 'node:child_process';
import { cp, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { startChromium } from '../../support/chromium.ts';
import { storedDetections } from '../../support/detections.ts';
import { countersOf } from '../../support/frame-counters.ts';
import { playVod } from '../../support/hls-player.ts';
import { blankPage } from '../../support/live-peers.ts';
import { clip, ffmpegPush } from '../../support/media.ts';
import { decodedPictures } from '../../support/mp4-packets.ts';
import { closedSegments, endOf, playbackPath, segmentsOf, startOf } from '../../support/recordings.ts';
import type { Segment } from '../../support/recordings.ts';
import { S3Server } from '../../support/s3-server.ts';
import { TestServer, until } from '../../support/server.ts';

const CAMERA = 'line';

interface Job { readonly id: string; readonly state: string; readonly pictures: number; readonly undecodable: number; readonly missing_segments: number; readonly boxes?: number; readonly detections?: number; readonly error: string | null }
interface Hit { readonly camera: string; readonly start: string; readonly end: string; readonly mark: { readonly id: string } | null; readonly detections: { readonly count: number; readonly source: string } | null }
interface Range { readonly from: number; readonly to: number }

const stack = new AsyncDisposableStack();
let s3: S3Server;
let server: TestServer;
let folder: string;
let page: Page;
let range: Range;
let wanted: readonly Segment[];
/** What was answered while the files were on the disk. */
let fromDisk: Answers;

const storeEnv = () => ({
  IMAGEFLOW_ARCHIVE_URL: 's3://recordings/plant-1', IMAGEFLOW_ARCHIVE_ENDPOINT: s3.endpoint,
  IMAGEFLOW_ARCHIVE_ACCESS_KEY_ID: s3.credentials.accessKeyId, IMAGEFLOW_ARCHIVE_SECRET_ACCESS_KEY: s3.credentials.secretAccessKey,
});
const iso = (at: number): string => new Date(at).toISOString();
const query = ({ from, to }: Range): string => `from=${iso(from)}&to=${iso(to)}`;
const bytesAt = async (of: TestServer, path: string): Promise<Buffer> => {
  const response = await of.fetch(path);
  if (response.status !== 200) throw new Error(`${path} was answered ${String(response.status)}: ${await response.text()}`);
  return Buffer.from(await response.arrayBuffer());
};
const saved = async (name: string, bytes: Buffer): Promise<string> => {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
};
const job = async (path: string, list: string, body: object): Promise<Job> => {
  const { id } = await server.request<Job>('POST', path, body);
  return await until(`${list} ${id} ended`, async () => {
    const now = await server.request<Job>('GET', `/v1/${list}/${id}`);
    return !['queued', 'running'].includes(now.state) && now;
  }, 120_000);
};
const filesLeft = async (): Promise<string[]> => (await readdir(join(server.dataDir, 'recordings', CAMERA))).filter((name) => name.endsWith('.mp4'));

interface Answers {
  readonly played: Buffer;
  readonly thumbnail: Buffer;
  readonly sprites: Buffer;
  readonly byLink: readonly Hit[];
  readonly byClass: readonly Hit[];
  readonly live: readonly string[];
  readonly found: readonly string[];
}

const askForEverything = async (): Promise<Answers> => {
  const live = (await storedDetections(server, `camera=${CAMERA}&${query(range)}`)).map(({ class_name, rtp_timestamp }) => `${class_name} ${String(rtp_timestamp)}`);
  const [className = ''] = live[0]?.split(' ') ?? [];
  const hits = async (filter: string) => (await server.request<{ items: Hit[] }>('GET', `/v1/recordings?${filter}&limit=100`)).items;
  const analysis = await job(`/v1/recordings/${CAMERA}/analyses`, 'analyses', { from: iso(range.from), to: iso(range.to), fps: 10, detectors: ['inspect-320'] });
  expect(analysis).toMatchObject({ state: 'done', undecodable: 0, missing_segments: 0, error: null });
  return {
    played: await bytesAt(server, playbackPath(CAMERA, range.from, range.to)),
    thumbnail: await bytesAt(server, `/v1/recordings/${CAMERA}/thumbnail?at=${iso(range.from + 1_234)}&width=640`),
    sprites: await bytesAt(server, `/v1/recordings/${CAMERA}/sprites?${query(range)}&count=8&width=320&format=jpeg`),
    byLink: await hits('work_order_id=WO-7'),
    byClass: await hits(`work_order_id=WO-7&class=${encodeURIComponent(className)}&source=live`),
    live,
    found: (await storedDetections(server, `camera=${CAMERA}&${query(range)}&analysis=${analysis.id}`)).map(({ class_name, rtp_timestamp, confidence }) => `${class_name} ${String(rtp_timestamp)} ${String(confidence)}`).sort(),
  };
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imageflow-archived-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  s3 = stack.use(await S3Server.start('versitygw'));
  await s3.bucket('recordings');
  server = stack.use(await TestServer.start({ env: { IMAGEFLOW_RECORDER_SEGMENT_SECONDS: '2', IMAGEFLOW_RECORDER_WINDOW_MINUTES: '0.1', IMAGEFLOW_DETECTIONS_RETENTION_HOURS: '0.02', ...storeEnv() } }));
  const browser = stack.use(await startChromium());
  page = await blankPage(() => browser.context.newPage(), server);

  const camera = await server.addCamera(CAMERA, { pipelines: ['detect'], recording: { policy: 'always', window_minutes: 60 } });
  await using pushing = ffmpegPush(clip('counter-720p30.mp4'), server.rtspUrl(camera), { input: ['-t', '12'] });
  expect(await pushing.exit).toMatchObject({ code: 0 });

  const segments = await closedSegments(server, CAMERA);
  const [first, last] = [segments[1], segments.at(-2)];
  if (!first || !last) throw new Error('too little was recorded');
  range = { from: startOf(first) + 300, to: endOf(last) - 300 };
  wanted = segments.filter((segment) => startOf(segment) < range.to && endOf(segment) > range.from);
  await server.request('POST', `/v1/recordings/${CAMERA}/marks`, { kind: 'link', from: iso(range.from), to: iso(range.to), work_order_id: 'WO-7', tags: ['kept'] });
  fromDisk = await askForEverything();
  expect((await storedDetections(server, `camera=${CAMERA}`)).length).toBeGreaterThan(fromDisk.live.length);
  expect([fromDisk.live.length, fromDisk.found.length, fromDisk.byLink.length, fromDisk.byClass.length].every((n) => n > 0)).toBe(true);

  // The server's window of six seconds instead of the camera's own: retention takes all files, a minute after it has given them up; what is not archived is gone from the lists.
  await until('all of it is archived', async () => (await segmentsOf(server, CAMERA)).filter(({ archived }) => archived).length === wanted.length, 60_000);
  await server.request('PATCH', `/v1/cameras/${CAMERA}`, { recording: { policy: 'always' } });
  await until('retention has taken the files', async () => (await filesLeft()).length === 0, 120_000);
  // A control process that has nothing in its memory.
  const [pid] = await server.pids('control');
  process.kill(pid ?? 0, 'SIGKILL');
  await until('control is back', async () => { const [now] = await server.pids('control'); return now !== undefined && now !== pid && (await server.fetch('/v1/health')).ok; }, 60_000);
}, 900_000); // the first time the S3 server is built
afterAll(() => stack.disposeAsync());

test('[REC-2, REC-7, REC-8] retention has taken every file, and what is archived is still listed', async () => {
  const listed = await segmentsOf(server, CAMERA);
  expect(listed.map(({ id, archived, open }) => [id, archived, open])).toEqual(wanted.map(({ id }) => [id, true, false]));
  expect(await filesLeft()).toEqual([]);
});

test('[REC-5, REC-6, REC-8] playback, thumbnail, sprites, searches, detections and a new analysis say what they said from the disk', { timeout: 170_000 }, async () => {
  const archived = await askForEverything();
  expect(archived.byLink.map(({ mark, ...hit }) => [mark?.id, hit])).toEqual(fromDisk.byLink.map(({ mark, ...hit }) => [mark?.id, hit]));
  expect(archived.byClass).toEqual(fromDisk.byClass);
  expect([archived.live, archived.found]).toEqual([fromDisk.live, fromDisk.found]);
  for (const what of ['played', 'thumbnail', 'sprites'] as const) expect(archived[what].equals(fromDisk[what]), what).toBe(true);
  expect(await countersOf(await saved('thumbnail.jpg', archived.thumbnail))).toHaveLength(1);
});

test('[REC-5, REC-8] hls.js plays the range out of the archive', { timeout: 120_000 }, async () => {
  const played = await playVod(page, `${server.http}/v1/recordings/${CAMERA}/playback.m3u8?${query(range)}&token=${encodeURIComponent(server.token)}`);
  expect(played).toMatchObject({ error: null, errors: [] });
  expect(played.pictures).toBeGreaterThanOrEqual(((range.to - range.from) / 1000) * 30 * 0.9);
  expect(played.dateRanges.length).toBeGreaterThan(0);
});

test('[REC-8, REC-10] the evidence of the range is whole and checks itself, with what was detected', { timeout: 120_000 }, async () => {
  const zip = await saved('evidence.zip', await bytesAt(server, `/v1/recordings/${CAMERA}/evidence?${query(range)}`));
  const place = join(folder, 'evidence');
  execFileSync('unzip', ['-q', zip, '-d', place]);
  const { kid } = await server.request<{ kid: string }>('GET', '/v1/recordings/signing-key');
  expect(execFileSync(process.execPath, [join(place, 'verify.mjs'), '--key', kid], { encoding: 'utf8' })).toMatch(/Everything is as it was exported\.\n$/);
  expect((await readFile(join(place, 'recording.mp4'))).equals(fromDisk.played)).toBe(true);
  const lines = (await readFile(join(place, 'detections.jsonl'), 'utf8')).split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as { readonly analysis?: string | null });
  expect(lines.length).toBeGreaterThanOrEqual(fromDisk.live.length);
});

test('[REC-5, REC-8] an export with boxes is made from the archive', { timeout: 170_000 }, async () => {
  const made = await job(`/v1/recordings/${CAMERA}/exports`, 'exports', { from: iso(range.from), to: iso(range.to) });
  expect(made).toMatchObject({ state: 'done', undecodable: 0, missing_segments: 0, error: null });
  expect(made.boxes).toBeGreaterThan(0);
  expect(await decodedPictures(await saved('boxes.mp4', await bytesAt(server, `/v1/exports/${made.id}/file`)))).toBe(made.pictures);
  expect(made.pictures).toBe(await decodedPictures(await saved('played.mp4', fromDisk.played)));
});

test('[REC-6, REC-7] what was detected live goes after its time, and stays in the linked range', { timeout: 170_000 }, async () => {
  const outside = async () => (await storedDetections(server, `camera=${CAMERA}`)).filter(({ captured_at }) => Date.parse(captured_at) < range.from || Date.parse(captured_at) >= range.to).length;
  await until('the others are deleted', async () => (await outside()) === 0, 150_000);
  const now = await askForEverything();
  expect([now.live, now.byClass]).toEqual([fromDisk.live, fromDisk.byClass]);
});

test('[REC-8, REC-10] all of it is what the index says, and when all but the object store and the key was lost, it is restored: found, and played', { timeout: 170_000 }, async () => {
  const command = (dataDir: string, ...args: readonly string[]): string =>
    execFileSync(process.execPath, [join(import.meta.dirname, '..', '..', '..', 'main.ts'), ...args], { encoding: 'utf8', env: { ...process.env, IMAGEFLOW_DATA_DIR: dataDir, ...storeEnv() } });
  const count = wanted.length;
  expect(command(server.dataDir, 'record', 'verify', '--archive')).toMatch(new RegExp(`^${String(count)} archived segments checked, .* 0 problems\\n$`));

  const dataDir = join(folder, 'another');
  await cp(join(server.dataDir, 'keys'), join(dataDir, 'keys'), { recursive: true });
  await using another = await TestServer.start({ dataDir, env: { ...storeEnv() } });
  expect(command(another.dataDir, 'record', 'restore')).toMatch(new RegExp(`${String(count)} objects in .*, ${String(count)} restored .*, 1 marks made, 0 problems\\n$`));
  expect((await segmentsOf(another, CAMERA)).map(({ id, sha256, archived }) => [id, sha256, archived])).toEqual(wanted.map(({ id, sha256 }) => [id, sha256, true]));
  expect((await bytesAt(another, playbackPath(CAMERA, range.from, range.to))).equals(fromDisk.played)).toBe(true);
  const { items } = await another.request<{ items: Hit[] }>('GET', `/v1/recordings?q=restored&camera=${CAMERA}&limit=10`);
  expect(items.map(({ camera, start }) => [camera, start])).toEqual([[CAMERA, wanted[0]?.start]]);
  expect(command(another.dataDir, 'record', 'verify', '--archive')).toMatch(new RegExp(`^${String(count)} archived segments checked, .* 0 problems\\n$`));
});
