/**
 * [D-16] Somebody plays a range slowly, and retention deletes its files meanwhile: what he gets is what was recorded, to its end or to where it was
 * cut. On the whole server, over HTTP. `bench/slow-playback` does it with a rolling window, for a quarter of an hour if asked to.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ffmpegMake, ffmpegPush } from '../../support/media.ts';
import { closedSegments, endOf, playbackPath, startOf } from '../../support/recordings.ts';
import type { Segment } from '../../support/recordings.ts';
import { takeSlowly } from '../../support/slow-client.ts';
import { TestServer, until } from '../../support/server.ts';
import { smallDisk } from '../../support/test-disks.ts';

const CAMERA = 'eaten';
const MB = 1e6;
/** Of a clip of 56 Mbit/s, played three times: a file is more than the kernels hold for a client that takes nothing, 36 MB between them, and what it takes meanwhile. */
const CLIP_SECONDS = '9';
const SECONDS = '27';
const SEGMENT_SECONDS = 8;
const MIN_FILE_BYTES = 48 * MB;
const DISK_MIB = 320;
/** Kept free: there is room for all that is recorded. */
const MIN_FREE_MIB = 60;

const stack = new AsyncDisposableStack();
let server: TestServer;
let segments: readonly Segment[];
let recordings: string;

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'imageflow-slow-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const dataDir = join(folder, 'data');
  recordings = join(dataDir, 'recordings');
  stack.use(await smallDisk(recordings, DISK_MIB));
  server = stack.use(await TestServer.start({ dataDir, env: { IMAGEFLOW_RECORDER_SEGMENT_SECONDS: String(SEGMENT_SECONDS), IMAGEFLOW_RECORDER_MIN_FREE_BYTES: String(MIN_FREE_MIB << 20) } }));
  const camera = await server.addCamera(CAMERA, { pipelines: [] });
  const noise = ['-f', 'lavfi', '-i', 'testsrc2=size=1280x720:rate=30', '-t', CLIP_SECONDS, '-vf', 'noise=alls=40:allf=t', '-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-b:v', '56M', '-maxrate', '56M', '-bufsize', '56M', '-g', '30'];
  const dense = await ffmpegMake(noise, join(folder, 'dense.mp4'));
  await using push = ffmpegPush(dense, server.rtspUrl(camera), { loop: true, output: ['-t', SECONDS, '-c', 'copy'] });
  expect(await push.exit).toMatchObject({ code: 0 });
  segments = await closedSegments(server, CAMERA);
});
afterAll(() => stack.disposeAsync());

const pathOf = (segment: Segment): string => join(recordings, `${segment.id}.mp4`);
const isThere = (segment: Segment): boolean => existsSync(pathOf(segment));
/** Somebody else takes room on the disk, until retention has deleted at least the `count` oldest files. One that is being read gives its room back later. */
const eat = async (count: number): Promise<void> => {
  const some = segments.filter(isThere).slice(0, count);
  const hog = join(recordings, 'hog');
  // It deletes the oldest until so much is free as is asked for.
  const left = Math.max(1 << 20, (MIN_FREE_MIB << 20) - some.reduce((sum, { bytes }) => sum + bytes, 0) + some.at(-1)!.bytes / 2);
  const { bavail, bsize } = await statfs(recordings);
  await writeFile(hog, Buffer.alloc(bavail * bsize - Math.round(left)));
  await until('retention has deleted them', () => !some.some(isThere));
  await rm(hog);
};
const pathFrom = (first: Segment, format: string): string => `${playbackPath(CAMERA, Math.floor(startOf(first)), Math.ceil(endOf(segments.at(-1)!)) + 1)}&format=${format}`;
const wholeOf = async (path: string): Promise<Buffer> => Buffer.from(await (await server.fetch(path)).arrayBuffer());
/** Begins to take a playback at 1 MB/s. `whole`: what it is as long as nothing is deleted. */
const begin = async (first: Segment, format: string) => {
  const path = pathFrom(first, format);
  const whole = await wholeOf(path);
  const taken: Buffer[] = [];
  return { path, format, whole, taken, answer: await takeSlowly(`${server.http}${path}`, server.token, MB, (bytes) => { taken.push(bytes); }) };
};
const FORMATS = ['mp4', 'fmp4'] as const;

test('three files and more were recorded, each too large for the buffers between', () => {
  expect(segments.length).toBeGreaterThanOrEqual(3);
  for (const { bytes } of segments.slice(0, 3)) expect(bytes).toBeGreaterThan(MIN_FILE_BYTES);
});

test('the file that is being played goes on though it was deleted, and so does the rest, byte for byte', async () => {
  const [first] = segments as [Segment];
  const playbacks = await Promise.all(FORMATS.map((format) => begin(first, format)));
  await Promise.all(playbacks.map(({ answer }) => answer.taken(MB)));
  for (const { answer } of playbacks) answer.setRate(0);
  await eat(1);
  expect(segments.map(isThere)).toEqual(segments.map((_, i) => i > 0));
  for (const { answer } of playbacks) answer.setRate(Infinity);
  const etags: (string | null)[] = [];
  for (const { whole, taken, answer } of playbacks) {
    const { complete, etag } = await answer.done;
    expect([complete, Buffer.concat(taken).equals(whole)]).toEqual([true, true]);
    etags.push(etag);
  }
  // Who asks for the rest of it later is not given that of another file.
  const { path } = playbacks[0]!;
  const rest = await server.fetch(path, { headers: { range: `bytes=${String(MB)}-`, 'if-range': etags[0] ?? '' } });
  expect(rest.status).toBe(200);
  expect(rest.headers.get('etag')).not.toBe(etags[0]);
  await rest.body?.cancel();
});

test('one at 1 MB/s that retention overtakes is cut: the connection ends before what was promised, and what came is what was recorded', async () => {
  const [, second] = segments as [Segment, Segment];
  const playbacks = await Promise.all(FORMATS.map((format) => begin(second, format)));
  await Promise.all(playbacks.map(({ answer }) => answer.taken(MB / 2)));
  await eat(2); // what becomes of the answers is decided
  for (const { answer } of playbacks) answer.setRate(Infinity);
  for (const { format, whole, taken, answer } of playbacks) {
    const { status, promised, complete } = await answer.done;
    const bytes = Buffer.concat(taken);
    expect([status, promised, complete], format).toEqual([200, format === 'mp4' ? whole.length : null, false]);
    expect(bytes.length, format).toBeGreaterThan(second.bytes / 2); // most of the file that was open
    expect(bytes.length, format).toBeLessThan(whole.length);
    expect(bytes.equals(whole.subarray(0, bytes.length)), format).toBe(true);
  }
  await expect.poll(() => server.log.filter((line) => line.includes('playback ended early: a recorded file is gone or short'))).toHaveLength(FORMATS.length); // a log comes when it comes
});
