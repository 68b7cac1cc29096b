/** Single pictures through the process that decodes them, a real one, to a worker that sees what a test tells it. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { MAX_SENT_PICTURE_BYTES } from '../../extractor/port.ts';
import type { SentPictureOutcome } from '../../extractor/port.ts';
import { SentPictureDetection } from '../../extractor/sent-picture-detection.ts';
import type { InferenceFrame } from '../../inference/port.ts';
import { FakeWorker } from '../../inference/testing/fake-worker.ts';
import { silentLogger } from '../../platform/logging.ts';
import { bytes } from '../support/hostile-input.ts';
import { FIXTURES } from '../support/media.ts';
import { seededRandom } from '../support/random.ts';
import { until } from '../support/server.ts';
import { EOI, SOI, frameHeader, plainPng, scan } from '../support/stills.ts';

const stack = new AsyncDisposableStack();
let folder: string;
let address: string;
let worker: FakeWorker;
let detection: SentPictureDetection;
let workers: { address: string }[];
/** What the model has been shown. */
let shown: InferenceFrame[];
const held: (() => void)[] = [];
const release = (): void => { for (const answer of held.splice(0)) answer(); };

const startWorker = (at = address): Promise<FakeWorker> => FakeWorker.start({
  listen: at, inputSize: 64,
  models: {
    // One box of the whole picture; its class is the colour in the middle.
    colour: (frame) => {
      shown.push(frame);
      const middle = 3 * (32 * 64 + 32);
      return [{ className: [...frame.pixels.subarray(middle, middle + 3)].join(','), classId: 1, confidence: 0.9, bbox: { x: 0, y: 0, width: frame.sourceWidth, height: frame.sourceHeight }, trackId: null }];
    },
    // Answers when it is told to; whoever asks the worker after it waits, too.
    held: () => new Promise((resolve) => { held.push(() => { resolve([]); }); }),
  },
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'if-sent-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  address = `unix:${join(folder, 'w.sock')}`;
  worker = await startWorker();
  stack.defer(() => worker[Symbol.asyncDispose]());
  workers = [{ address }];
  detection = stack.use(new SentPictureDetection({ workers: () => workers, deadlineMs: 700, logLevel: 'fatal', clock: systemClock, logger: silentLogger() }));
});
beforeEach(() => { shown = []; });
afterEach(release);
afterAll(() => stack.disposeAsync());

const look = (picture: Uint8Array, model = 'colour', confidence: number | null = null, annotated = false): Promise<SentPictureOutcome> => detection.detect({ bytes: picture, model, confidence, annotated });
const whySeen = (outcome: SentPictureOutcome): string => (outcome.seen ? 'seen' : outcome.reason);
const RED = plainPng(640, 320, [250, 10, 10]);

test('[INF-7] a picture is letterboxed as a camera\'s is, and its boxes are in its own pixels', async () => {
  const outcome = await look(RED, 'colour', 0.25);
  expect(outcome).toMatchObject({ seen: true, width: 640, height: 320, modelDigest: '0'.repeat(64), detections: [{ className: '250,10,10', classId: 1, bbox: { x: 0, y: 0, width: 640, height: 320 } }] });
  expect(shown).toMatchObject([{ sourceWidth: 640, sourceHeight: 320, confidence: 0.25 }]);
  // 64 × 32 in the middle, grey above and below.
  const rows = Array.from({ length: 64 }, (_, row) => shown[0]?.pixels[3 * 64 * row]);
  expect(rows).toEqual([...Array.from({ length: 16 }, () => 114), ...Array.from({ length: 32 }, () => 250), ...Array.from({ length: 16 }, () => 114)]);
  if (outcome.seen) for (const ms of Object.values(outcome.times)) expect(ms).toBeGreaterThanOrEqual(0);
});

test('[INF-7] many pictures of many sizes at a time are each answered with their own', async () => {
  const pictures = Array.from({ length: 60 }, (_, i) => ({ width: 20 + 7 * i, height: 200 - 3 * i, colour: [4 * i, 255 - 4 * i, i] as const }));
  const outcomes = await Promise.all(pictures.map(({ width, height, colour }) => look(plainPng(width, height, [...colour]))));
  for (const [i, { width, height, colour }] of pictures.entries()) expect(outcomes[i]).toMatchObject({ width, height, detections: [{ className: colour.join(','), bbox: { width, height } }] });
});

/** What ffmpeg makes of its input; it does not hold up the worker, which is in this process. */
const ffmpeg = async (args: readonly string[], input: Uint8Array = Buffer.alloc(0)): Promise<Buffer> => {
  const run = promisify(execFile)('ffmpeg', ['-v', 'error', ...args, '-'], { encoding: 'buffer', maxBuffer: 1 << 28 });
  run.child.stdin?.end(input);
  return (await run).stdout;
};
/** The pixels of an encoded picture, RGB. */
const pixelsOf = (picture: Uint8Array): Promise<Buffer> => ffmpeg(['-i', '-', '-pix_fmt', 'rgb24', '-f', 'rawvideo'], picture);
const annotatedOf = (outcome: SentPictureOutcome): Uint8Array => {
  if (!outcome.seen || outcome.annotated?.made !== true) throw new Error(JSON.stringify(outcome));
  expect(outcome.times.annotateMs).toBeGreaterThan(0);
  return outcome.annotated.bytes;
};

test('[INF-7] [DIS-4] a picture goes back with its boxes drawn in, in its own format and size; who does not ask gets none', async () => {
  expect(await look(RED)).toMatchObject({ annotated: null, times: { annotateMs: 0 } });
  const drawn = annotatedOf(await look(RED, 'colour', null, true));
  expect(Buffer.from(drawn.subarray(1, 4)).toString()).toBe('PNG');
  const pixels = await pixelsOf(drawn);
  expect(pixels.length).toBe(3 * 640 * 320);
  const at = (x: number, y: number): number[] => [...pixels.subarray(3 * (y * 640 + x), 3 * (y * 640 + x) + 3)];
  // The box is the whole picture: two lines at each side in the colour of its class, the picture's own inside.
  for (const [x, y] of [[0, 100], [639, 100], [300, 319], [1, 318]] as const) expect(at(x, y), `${String(x)},${String(y)}`).toEqual([0x38, 0xbd, 0xf8]);
  expect(at(300, 200)).toEqual([250, 10, 10]);

  const messi = readFileSync(join(FIXTURES, 'images/messi5.jpg'));
  const jpeg = annotatedOf(await look(messi, 'colour', null, true));
  expect([...jpeg.subarray(0, 3)]).toEqual([0xff, 0xd8, 0xff]);
  const [before, after] = [await pixelsOf(messi), await pixelsOf(jpeg)];
  expect(after.length).toBe(before.length);
  const differs = (x: number, y: number): number => Math.max(...[0, 1, 2].map((c) => Math.abs((before[3 * (y * 548 + x) + c] ?? 0) - (after[3 * (y * 548 + x) + c] ?? 0))));
  expect(Math.max(...Array.from({ length: 300 }, (_, y) => differs(0, 20 + y)))).toBeGreaterThan(60);
  const inside = Array.from({ length: 250 }, (_, i) => differs(150 + i, 200));
  expect(inside.reduce((sum, each) => sum + each, 0) / inside.length).toBeLessThan(10);
});

test('[INF-7] [DIS-4] pictures of many sizes and kinds go back with their boxes, many at a time; one that would be too large does not', async () => {
  const random = seededRandom(11);
  const sizes = Array.from({ length: 20 }, (_, i) => [1 + Math.floor(random() * 400), 1 + Math.floor(random() * 300), i] as const);
  const outcomes = await Promise.all(sizes.map(([width, height, i]) => look(plainPng(width, height, [6 * i, 20, 30]), 'colour', null, true)));
  for (const [i, [width, height]] of sizes.entries()) expect((await pixelsOf(annotatedOf(outcomes[i]!))).length, `${String(width)}x${String(height)}`).toBe(3 * width * height);
  for (const kind of ['gray', 'rgba', 'pal8', 'rgb48be', 'ya8', 'monob']) {
    const still = await ffmpeg(['-i', join(FIXTURES, 'images/messi5.jpg'), '-pix_fmt', kind, '-f', 'image2', '-c:v', 'png']);
    expect((await pixelsOf(annotatedOf(await look(still, 'colour', null, true)))).length, kind).toBe(3 * 548 * 342);
  }
  // Noise: it is sent with fewer bits than it would go back with.
  const noise = await ffmpeg(['-f', 'rawvideo', '-pix_fmt', 'gray', '-s', '5000x4800', '-i', '/dev/urandom', '-frames:v', '1', '-pix_fmt', 'yuvj420p', '-q:v', '20', '-f', 'image2', '-c:v', 'mjpeg']);
  expect(noise.length).toBeLessThan(MAX_SENT_PICTURE_BYTES);
  expect(await look(noise, 'colour', null, true)).toMatchObject({ seen: true, detections: [{ classId: 1 }], annotated: { made: false, why: 'too_large' } });
});

test('[INF-7] a picture that is none costs its own answer', async () => {
  const messi = readFileSync(join(FIXTURES, 'images/messi5.jpg'));
  expect(whySeen(await look(messi.subarray(0, 10_000)))).toBe('damaged');
  expect(whySeen(await look(Buffer.from('GIF89a')))).toBe('format');
  expect(whySeen(await look(Buffer.concat([SOI, frameHeader(60_000, 60_000), scan(), EOI])))).toBe('too_large');
  const random = seededRandom(7);
  const { pid } = detection;
  for (let round = 0; round < 20; round++) {
    const hostile = Array.from({ length: 10 }, (_, i) => {
      const picture = Buffer.from(i % 2 === 0 ? messi : RED);
      if (i % 3 === 0) return Buffer.concat([SOI, bytes(random, 300)]);
      for (let n = 0; n < 5; n++) picture[Math.floor(random() * (i % 4 === 0 ? 600 : picture.length))] = Math.floor(random() * 256);
      return picture;
    });
    for (const outcome of await Promise.all(hostile.map((each) => look(each)))) expect(['seen', 'damaged', 'format', 'too_large']).toContain(whySeen(outcome));
  }
  expect(await look(messi)).toMatchObject({ seen: true, width: 548, height: 342 });
  expect(detection.pid).toBe(pid);
});

test('[INF-7] it is told why nobody looks at a picture: no such model, no answer in time', async () => {
  expect(await look(RED, 'nowhere')).toEqual({ seen: false, reason: 'no_model', detail: 'colour, held' });
  expect(whySeen(await look(RED, 'held'))).toBe('deadline');
});

test('[INF-7] a decoder that dies costs the pictures it has, and the next one is decoded by another', async () => {
  await using stuck = new SentPictureDetection({ workers: () => workers, deadlineMs: 30_000, logLevel: 'fatal', clock: systemClock, logger: silentLogger() });
  using _hold = stuck.hold();
  expect(whySeen(await stuck.detect({ bytes: RED, model: 'colour', confidence: null, annotated: false }))).toBe('seen');
  const { pid } = stuck;
  const waiting = stuck.detect({ bytes: RED, model: 'held', confidence: null, annotated: false });
  process.kill(pid ?? 0, 'SIGKILL');
  expect(await waiting).toMatchObject({ seen: false, reason: 'decoder_lost' });
  release();
  await until('another decodes', async () => whySeen(await stuck.detect({ bytes: RED, model: 'colour', confidence: null, annotated: false })) === 'seen');
  expect(stuck.pid).not.toBe(pid);
});

test('[INF-7] a decoder that hangs is ended, and what it had is answered', async () => {
  await using hung = new SentPictureDetection({ workers: () => workers, deadlineMs: 700, logLevel: 'fatal', clock: { ...systemClock, every: (period, callback) => systemClock.every(period / 20, callback) }, logger: silentLogger() });
  expect(whySeen(await hung.detect({ bytes: RED, model: 'colour', confidence: null, annotated: false }))).toBe('seen');
  process.kill(hung.pid ?? 0, 'SIGSTOP');
  expect(await hung.detect({ bytes: RED, model: 'colour', confidence: null, annotated: false })).toMatchObject({ reason: 'decoder_lost' });
});

test('[INF-7] the process is there while somebody holds it, and ends a while after', async () => {
  await using short = new SentPictureDetection({ workers: () => workers, deadlineMs: 700, logLevel: 'fatal', clock: { ...systemClock, after: (delay, callback) => systemClock.after(delay / 30, callback) }, logger: silentLogger() });
  expect(short.pid).toBeUndefined();
  const holds = [short.hold(), short.hold()];
  const { pid = 0 } = short;
  const runs = (): boolean => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };
  expect(runs()).toBe(true);
  expect(whySeen(await short.detect({ bytes: RED, model: 'colour', confidence: null, annotated: false }))).toBe('seen');
  holds[0]?.[Symbol.dispose]();
  holds[0]?.[Symbol.dispose](); // once is enough
  await new Promise((resolve) => { setTimeout(resolve, 1_500); });
  expect(short.pid).toBe(pid);
  holds[1]?.[Symbol.dispose]();
  await until('it has ended', () => short.pid === undefined && !runs());
  expect(whySeen(await short.detect({ bytes: RED, model: 'colour', confidence: null, annotated: false }))).toBe('seen');
});

test('[INF-7] while there is no worker pictures are told so, and when it is back they are looked at', async () => {
  await worker[Symbol.asyncDispose]();
  await until('the loss is told', async () => whySeen(await look(RED)) === 'worker_lost');
  worker = await startWorker();
  await until('they are looked at again', async () => whySeen(await look(RED)) === 'seen');
});

test('[INF-7] workers that come and go are asked without a new process', async () => {
  const { pid } = detection;
  const other = `unix:${join(folder, 'other.sock')}`;
  await using _second = await FakeWorker.start({ listen: other, inputSize: 64, models: { another: () => [] } });
  expect(whySeen(await look(RED, 'another'))).toBe('no_model');
  workers = [{ address }, { address: other }];
  detection.workersChanged();
  await until('the second is asked', async () => whySeen(await look(RED, 'another')) === 'seen');
  expect(detection.pid).toBe(pid);
});

test('[INF-7] when it stops, what waits is told so', async () => {
  const stopping = new SentPictureDetection({ workers: () => workers, deadlineMs: 30_000, logLevel: 'fatal', clock: systemClock, logger: silentLogger() });
  expect(whySeen(await stopping.detect({ bytes: RED, model: 'colour', confidence: null, annotated: false }))).toBe('seen');
  const { pid } = stopping;
  const waiting = stopping.detect({ bytes: RED, model: 'held', confidence: null, annotated: false });
  await stopping[Symbol.asyncDispose]();
  expect(await waiting).toMatchObject({ reason: 'stopping' });
  expect(await stopping.detect({ bytes: RED, model: 'colour', confidence: null, annotated: false })).toMatchObject({ reason: 'stopping' });
  expect(() => process.kill(pid ?? 0, 0)).toThrow();
});
