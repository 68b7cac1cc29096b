import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FakeClock } from '../core/testing-clock.ts';
import { silentLogger } from '../platform/logging.ts';
import type { CodedPictures, RecordedSample } from '../recorder/port.ts';
import type { ExtractorProcessOptions } from './extractor-process.ts';
import { RecordedDetection, isChosen } from './recorded-detection.ts';
import type { Flushable } from './recorded-detection.ts';
import type { CameraMessage, SentUnit } from './protocol.ts';

const FRAME = 1000 / 30;
const samples = (count: number): RecordedSample[] => Array.from({ length: count }, (_, i) => ({
  kind: 'video', frame: { stream: 'cam', epoch: 1, rtpTs: i * 3000, captureNtp: null, seq: i }, wall: 10_000 + i * FRAME, dts: i * 3000, pts: i * 3000, duration: 3000, randomAccess: i === 0, segmentId: 's', offset: i, bytes: 1,
}));
const pictures = (count: number): CodedPictures => ({
  codec: 'h264', sps: Buffer.from('sps'), pps: Buffer.from('pps'), clockRate: 90_000, samples: samples(count),
  async *read() {
    for (let i = 0; i < count; i++) {
      await Promise.resolve();
      yield Buffer.from([i & 0xff]);
    }
  },
});

/** A child that answers every picture it is shown, with a box that tells which; `plan` says what goes wrong with which round. */
class FakeChild implements Flushable {
  readonly pid = 1;
  readonly #options: ExtractorProcessOptions;
  readonly #plan: (round: number) => 'well' | 'no worker' | 'crash' | 'refuses';
  #camera: CameraMessage | undefined;
  #offered = 0;
  #sent = 0;
  static rounds = 0;
  constructor(options: ExtractorProcessOptions, plan: FakeChild['planOf']) { this.#options = options; this.#plan = plan; }
  get planOf(): (round: number) => 'well' | 'no worker' | 'crash' | 'refuses' { return this.#plan; }
  setCamera(camera: CameraMessage): void { this.#camera = camera; this.#offered = this.#sent = 0; FakeChild.rounds++; }
  removeCamera(): void { this.#camera = undefined; }
  send(handle: number, { frame, wall }: SentUnit, decodeOnly: boolean): boolean {
    this.#sent++;
    if (decodeOnly) return true;
    const plan = this.#plan(FakeChild.rounds);
    for (const { id, model } of this.#camera?.detectors ?? []) {
      if (plan === 'well') {
        this.#offered++;
        queueMicrotask(() => {
          this.#options.onMessage({
            type: 'result', handle, detector: id, timings: { queueMs: 0, waitMs: 0, inferenceMs: 0, shareMs: 0, totalMs: 0 },
            result: { frame, capturedAt: wall, model, modelDigest: 'd', inferenceMs: 1, width: 8, height: 8, detections: [{ className: 'n', classId: 1, confidence: 0.5, bbox: { x: frame.seq, y: 0, width: 1, height: 1 }, trackId: null }] },
          });
        });
      } else if (plan === 'crash') queueMicrotask(() => { this.#options.onCrash(null); });
      else this.#options.onMessage({ type: 'stats', handle, decodersActive: 1, decodedFrames: 1, decoder: 'software', failedDevices: [], skipped: plan === 'refuses' ? { refused: 1 } : { worker_lost: 1 }, refusedModels: [], awaitingRandomAccess: false });
    }
    return true;
  }
  drained(): Promise<void> { return Promise.resolve(); }
  flush(handle: number): void {
    queueMicrotask(() => {
      this.#options.onMessage({ type: 'stats', handle, decodersActive: 1, decodedFrames: this.#sent, decoder: 'software', failedDevices: [], skipped: {}, refusedModels: [], awaitingRandomAccess: true });
      this.#options.onMessage({ type: 'flushed', handle, offered: this.#offered });
    });
  }
  [Symbol.asyncDispose](): Promise<void> { return Promise.resolve(); }
}

const rig = (plan: FakeChild['planOf']) => {
  FakeChild.rounds = 0;
  const clock = new FakeClock();
  return { clock, detection: new RecordedDetection({ worker: { address: 'unix:/w' }, logLevel: 'silent', clock, logger: silentLogger(), spawn: (options) => new FakeChild(options, plan) }) };
};
const round = (count: number, fps = 15) => ({ camera: 'cam', pictures: pictures(count), detectors: [{ id: 'a', model: 'm1', confidence: null }, { id: 'b', model: 'm2', confidence: 0.5 }], fps, from: 10_000, to: 1e9 });

test('every chosen picture is answered by every detector, in the order of the pictures', async () => {
  const { detection } = rig(() => 'well');
  const { results, shown, undecodable, decoded } = await detection.detect(round(300), new AbortController().signal);
  expect([shown, undecodable, decoded]).toEqual([150, 0, 300]);
  expect(results.map(({ detector, result }) => `${String(result.frame.seq)}${detector}`)).toEqual(results.map((_, i) => `${String(Math.floor(i / 2) * 2 + (results[0]?.result.frame.seq ?? 0))}${'ab'[i % 2] ?? ''}`));
});

test('only pictures captured in the range are shown; at the rate of the camera all of them', async () => {
  const { detection } = rig(() => 'well');
  const { results } = await detection.detect({ ...round(60, 30), from: 10_000 + 10 * FRAME - 1, to: 10_000 + 20 * FRAME - 1 }, new AbortController().signal);
  expect(results.map(({ result }) => result.frame.seq)).toEqual([10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15, 16, 16, 17, 17, 18, 18, 19, 19]);
});

test('a worker that is not there yet, and a child that dies, cost another try, and no picture', async () => {
  const { detection, clock } = rig((n) => (n <= 2 ? 'no worker' : n === 3 ? 'crash' : 'well'));
  const outcome = detection.detect(round(60), new AbortController().signal);
  const shown = outcome.then((end) => end.shown);
  await expect.poll(() => {
    clock.advance(100);
    return FakeChild.rounds;
  }, { interval: 1 }).toBe(4);
  expect(await shown).toBe(30);
  expect(FakeChild.rounds).toBe(4);
});

test('a model that refuses ends the round at once; so does a signal', async () => {
  await expect(rig(() => 'refuses').detection.detect(round(60), new AbortController().signal)).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
  await expect(rig(() => 'well').detection.detect(round(60), AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
});

test('which pictures are chosen depends on each alone, and their number is the rate', () => {
  fc.assert(fc.property(fc.double({ min: 0.1, max: 60, noNaN: true }), fc.integer({ min: 0, max: 2 ** 40 }), (fps, start) => {
    const chosen = Array.from({ length: 600 }, (_, i) => isChosen(start + i * 3000, 3000, 90_000, fps)).filter(Boolean).length;
    expect(Math.abs(chosen - (fps >= 29.4 ? 600 : fps * 20))).toBeLessThanOrEqual(1.001);
  }));
});
