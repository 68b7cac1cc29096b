import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { avcDecoderConfig } from '../../core/codec/h264/track.ts';
import { MediaError } from '../../core/errors.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import { silentLogger } from '../../platform/logging.ts';
import { Thumbnailer } from '../../recorder/thumbnailer.ts';
import type { PictureWork } from '../../recorder/thumbnailer.ts';
import { clip } from '../support/media.ts';
import { readClip } from '../support/mp4-source.ts';
import { seededRandom } from '../support/random.ts';

const NEVER = new AbortController().signal;
const WIDTH = 1280;
const HEIGHT = 720;
const PATH = clip('vtest-720p30-bframes.mp4');

const media = readClip(PATH);
const units = media.units.filter(({ kind }) => kind === 'video');
const { video } = media.tracks;
if (video?.codec !== 'h264') throw new Error('a clip without H.264');
const decoderConfig = avcDecoderConfig(video).toString('base64');
let folder: string;
beforeAll(async () => { folder = await mkdtemp(join(tmpdir(), 'imageflow-stills-')); });
afterAll(() => rm(folder, { recursive: true, force: true }));

const work = (lengths: readonly number[], more: Partial<PictureWork> = {}): PictureWork =>
  ({ width: WIDTH, height: HEIGHT, format: 'jpeg', tiles: [{ left: 0, top: 0, width: WIDTH, height: HEIGHT, decoderConfig, units: [...lengths] }], ...more });
/** The access units picture `n` (in decode order) needs. */
const upTo = (n: number): Buffer[] => {
  let key = n;
  while (units[key]?.randomAccess === false) key--;
  return units.slice(key, n + 1).map(({ data }) => data);
};
const make = (thumbnailer: Thumbnailer, data: readonly Buffer[], more: Partial<PictureWork> = {}): Promise<Buffer> => thumbnailer.make(work(data.map(({ length }) => length), more), data, NEVER);
const grey = (...args: string[]): Buffer => execFileSync('ffmpeg', ['-v', 'error', ...args, '-f', 'rawvideo', '-pix_fmt', 'gray', '-'], { maxBuffer: 512 << 20 });
/** Signal to noise of luma, dB. */
const psnr = (a: Buffer, b: Buffer): number => {
  expect(a.length).toBe(b.length);
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += ((a[i] ?? 0) - (b[i] ?? 0)) ** 2;
  return 10 * Math.log10((255 * 255 * a.length) / sum);
};

test('[REC-5] a picture anywhere in a GOP with B-frames is pixel for pixel the one ffmpeg shows, in JPEG and WebP', async () => {
  await using thumbnailer = new Thumbnailer(systemClock, silentLogger());
  const random = seededRandom(5);
  const order = units.map(({ pts }) => pts).sort((a, b) => a - b);
  for (let i = 0; i < 6; i++) {
    const n = Math.floor(random() * units.length);
    const shown = order.indexOf(units[n]?.pts ?? -1);
    const format = i % 2 === 0 ? 'jpeg' : 'webp';
    const path = join(folder, `still.${format}`);
    await writeFile(path, await make(thumbnailer, upTo(n), { format }));
    const wanted = grey('-i', PATH, '-vf', `select=between(n\\,${String(shown - 1)}\\,${String(shown + 1)})`, '-fps_mode', 'passthrough');
    const size = WIDTH * HEIGHT;
    const candidates = Array.from({ length: wanted.length / size }, (_, k) => psnr(grey('-i', path), wanted.subarray(k * size, (k + 1) * size)));
    // Its neighbours are alike, but not so much.
    expect(candidates.indexOf(Math.max(...candidates)), `picture ${String(n)}`).toBe(Math.min(1, shown));
    expect(Math.max(...candidates)).toBeGreaterThan(36);
  }
  expect(thumbnailer.pids).toHaveLength(1);
});

test('[REC-5] a sheet has every picture in its place, as large as it fits, and black where there is none', async () => {
  await using thumbnailer = new Thumbnailer(systemClock, silentLogger());
  const keys = units.filter(({ randomAccess }) => randomAccess).slice(0, 3).map(({ data }) => data);
  const tile = (left: number, top: number, data: Buffer) => ({ left, top, width: 160, height: 120, decoderConfig, units: [data.length] });
  const [a, b, c] = keys as [Buffer, Buffer, Buffer];
  const sheet = await thumbnailer.make({ width: 320, height: 240, format: 'jpeg', tiles: [tile(0, 0, a), tile(160, 0, b), tile(0, 120, c)] }, keys, NEVER);
  const path = join(folder, 'sheet.jpg');
  await writeFile(path, sheet);
  const region = (x: number, y: number, w: number, h: number): Buffer => grey('-i', path, '-vf', `crop=${[w, h, x, y].join(':')}`);
  // 16:9 in 160x120: 90 high, 15 from the top (even: 14 or 16).
  for (const [i, [x, y]] of ([[0, 0], [160, 0], [0, 120]] as const).entries()) {
    const alone = join(folder, 'alone.jpg');
    await writeFile(alone, await make(thumbnailer, [keys[i]!], { width: 160, height: 90, tiles: [{ left: 0, top: 0, width: 160, height: 90, decoderConfig, units: [keys[i]!.length] }] }));
    expect(psnr(region(x, y + 16, 160, 88), grey('-i', alone, '-vf', 'crop=160:88:0:0'))).toBeGreaterThan(30);
  }
  expect(Math.max(...region(168, 128, 140, 100))).toBeLessThan(24);
});

test('[EXT-7] hostile access units cost their own picture at most: the next is made', async () => {
  await using thumbnailer = new Thumbnailer(systemClock, silentLogger());
  const good = upTo(5);
  await fc.assert(fc.asyncProperty(fc.oneof(
    fc.array(fc.uint8Array({ minLength: 1, maxLength: 2_000 }), { minLength: 1, maxLength: 4 }).map((all) => all.map((each) => Buffer.from(each))),
    fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 200 }).map((flips) => good.map((unit) => {
      const bad = Buffer.from(unit);
      for (const [at, mask] of flips) bad[at % bad.length] = (bad[at % bad.length] ?? 0) ^ mask;
      return bad;
    })),
  ), fc.uint8Array({ maxLength: 60 }), async (data, config) => {
    const tiles = [{ left: 0, top: 0, width: WIDTH, height: HEIGHT, decoderConfig: config.length > 40 ? Buffer.from(config).toString('base64') : decoderConfig, units: data.map(({ length }) => length) }];
    try {
      await thumbnailer.make(work([], { tiles }), data, NEVER);
    } catch (error) {
      expect(error).toBeInstanceOf(MediaError);
      expect((error as MediaError).code).toBe('UNPROCESSABLE');
    }
  }), { numRuns: 60 });
  expect((await make(thumbnailer, good)).subarray(0, 2).toString('hex')).toBe('ffd8');
});

test('[EXT-7] a thumbnailer that is killed at its work fails that picture alone; another takes its place', async () => {
  await using thumbnailer = new Thumbnailer(systemClock, silentLogger());
  await make(thumbnailer, upTo(5));
  const [pid] = thumbnailer.pids;
  const lost = make(thumbnailer, upTo(100)).catch((error: unknown) => error);
  process.kill(pid ?? -1, 'SIGKILL');
  expect(await lost).toMatchObject({ code: 'UNPROCESSABLE', reason: 'PICTURE_DAMAGED' });
  expect((await make(thumbnailer, upTo(5))).length).toBeGreaterThan(1000);
  expect(thumbnailer.pids).not.toContain(pid);
});

test('one that hangs is ended at the deadline, more than 64 waiting pictures are refused, and nothing outlives its owner', async () => {
  const clock = new FakeClock();
  const thumbnailer = new Thumbnailer(clock, silentLogger());
  await make(thumbnailer, upTo(5));
  const [pid] = thumbnailer.pids;
  process.kill(pid ?? -1, 'SIGSTOP');
  const hung = make(thumbnailer, upTo(5)).catch((error: unknown) => error);
  clock.advance(10_000);
  expect(await hung).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  const many = await Promise.allSettled(Array.from({ length: 80 }, () => make(thumbnailer, upTo(0), { width: 320, height: 180, tiles: [{ left: 0, top: 0, width: 320, height: 180, decoderConfig, units: upTo(0).map(({ length }) => length) }] })));
  const refused = many.filter((each) => each.status === 'rejected');
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.length).toBeLessThanOrEqual(16);
  for (const { reason } of refused) expect(reason).toMatchObject({ code: 'UNAVAILABLE', reason: 'TOO_MANY_PICTURES' });
  // Idle for a minute: the processes go, and come again when wanted.
  clock.advance(60_000);
  while (thumbnailer.pids.length > 0) await sleep(20);
  await make(thumbnailer, upTo(5));
  const pids = thumbnailer.pids;
  await thumbnailer[Symbol.asyncDispose]();
  for (const each of pids) expect(() => process.kill(each, 0)).toThrow();
  await expect(make(thumbnailer, upTo(5))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});
