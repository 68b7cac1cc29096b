/** Single pictures through the process that decodes them, a real one, to a worker that sees what a test tells it. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
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

const look = (picture: Uint8Array, model = 'colour', confidence: number | null = null): Promise<SentPictureOutcome> => detection.detect({ bytes: picture, model, confidence });
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
  expect(whySeen(await stuck.detect({ bytes: RED, model: 'colour', confidence: null }))).toBe('seen');
  const { pid } = stuck;
  const waiting = stuck.detect({ bytes: RED, model: 'held', confidence: null });
  process.kill(pid ?? 0, 'SIGKILL');
  expect(await waiting).toMatchObject({ seen: false, reason: 'decoder_lost' });
  release();
  await until('another decodes', async () => whySeen(await stuck.detect({ bytes: RED, model: 'colour', confidence: null })) === 'seen');
  expect(stuck.pid).not.toBe(pid);
});

test('[INF-7] a decoder that hangs is ended, and what it had is answered', async () => {
  await using hung = new SentPictureDetection({ workers: () => workers, deadlineMs: 700, logLevel: 'fatal', clock: { ...systemClock, every: (period, callback) => systemClock.every(period / 20, callback) }, logger: silentLogger() });
  expect(whySeen(await hung.detect({ bytes: RED, model: 'colour', confidence: null }))).toBe('seen');
  process.kill(hung.pid ?? 0, 'SIGSTOP');
  expect(await hung.detect({ bytes: RED, model: 'colour', confidence: null })).toMatchObject({ reason: 'decoder_lost' });
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
  expect(whySeen(await short.detect({ bytes: RED, model: 'colour', confidence: null }))).toBe('seen');
  holds[0]?.[Symbol.dispose]();
  holds[0]?.[Symbol.dispose](); // once is enough
  await new Promise((resolve) => { setTimeout(resolve, 1_500); });
  expect(short.pid).toBe(pid);
  holds[1]?.[Symbol.dispose]();
  await until('it has ended', () => short.pid === undefined && !runs());
  expect(whySeen(await short.detect({ bytes: RED, model: 'colour', confidence: null }))).toBe('seen');
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
  expect(whySeen(await stopping.detect({ bytes: RED, model: 'colour', confidence: null }))).toBe('seen');
  const { pid } = stopping;
  const waiting = stopping.detect({ bytes: RED, model: 'held', confidence: null });
  await stopping[Symbol.asyncDispose]();
  expect(await waiting).toMatchObject({ reason: 'stopping' });
  expect(await stopping.detect({ bytes: RED, model: 'colour', confidence: null })).toMatchObject({ reason: 'stopping' });
  expect(() => process.kill(pid ?? 0, 0)).toThrow();
});
