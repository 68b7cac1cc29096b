import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../core/clock.ts';
import type { Detection, DetectionResult } from '../core/detection.ts';
import { FakeClock } from '../core/testing-clock.ts';
import { GrpcClient } from '../platform/grpc/client.ts';
import { silentLogger } from '../platform/logging.ts';
import { DetectRequestSchema, InferenceService, RefusalReason } from '../proto/gen/imageflow/v1/inference_pb.ts';
import type { DetectResponse } from '../proto/gen/imageflow/v1/inference_pb.ts';
import { Dispatcher } from './dispatcher.ts';
import type { DispatchSkip, FrameOffer, InferenceFrame, InferenceTimings } from './port.ts';
import { PictureMemory } from './picture-memory.ts';
import { FakeWorker } from './testing/fake-worker.ts';

const SIZE = 8;
let folder: string;
let listen: string;
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'if-disp-')); listen = `unix:${join(folder, 'w.sock')}`; });
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });

const soon = (condition: () => void): Promise<void> => vi.waitFor(condition, 10_000);

/** Every one of them has granted credit. */
const allConnected = (dispatcher: Dispatcher): Promise<void> => soon(() => { expect(dispatcher.reports().every(({ connected }) => connected)).toBe(true); });

/** A model that answers when told to. */
class Gate {
  readonly seen: InferenceFrame[] = [];
  readonly #open: (() => void)[] = [];
  readonly infer = async (frame: InferenceFrame): Promise<[]> => {
    this.seen.push(frame);
    await new Promise<void>((resolve) => { this.#open.push(resolve); });
    return [];
  };
  answer(): void { this.#open.shift()?.(); }
}

class Recorder {
  readonly results: DetectionResult[] = [];
  readonly faint: (readonly Detection[])[] = [];
  readonly timings: InferenceTimings[] = [];
  readonly skips: DispatchSkip[] = [];
  released = 0;
  readonly listener = {
    onResult: (_detector: string, result: DetectionResult, timings: InferenceTimings, faint: readonly Detection[]): void => { this.results.push(result); this.timings.push(timings); this.faint.push(faint); },
    onSkip: (_camera: string, reason: DispatchSkip): void => { this.skips.push(reason); },
  };
  dispatcher(deadlineMs = 10_000, addresses = [listen]): Dispatcher {
    return new Dispatcher({ workers: addresses.map((address) => ({ address })), deadlineMs, listener: this.listener, clock: systemClock, logger: silentLogger() });
  }
  offer(dispatcher: Dispatcher, seq: number, camera = 'a', over: Partial<FrameOffer> = {}): void {
    dispatcher.offer({
      camera, detector: 'd', model: 'm', confidence: 0.5, faintConfidence: null, frame: { stream: camera, epoch: 1, rtpTs: seq, captureNtp: null, seq }, capturedAt: 0, sourceWidth: 64, sourceHeight: 48,
      pixels: { bytes: new Uint8Array(3 * SIZE * SIZE), [Symbol.dispose]: () => { this.released++; } }, ...over,
    });
  }
}

test('[EXT-6][INF-1] with all credit out the newest picture waits, older ones are superseded, and every buffer comes back', async () => {
  const gate = new Gate();
  await using worker = await FakeWorker.start({ listen, models: { m: gate.infer }, inputSize: SIZE, credits: 2 });
  expect(worker.address).toBe(listen);
  const recorder = new Recorder();
  using dispatcher = recorder.dispatcher();
  await soon(() => { expect(dispatcher.model('m')).toBeDefined(); });
  for (let seq = 0; seq < 6; seq++) recorder.offer(dispatcher, seq);
  expect(recorder.skips).toEqual(['superseded', 'superseded', 'superseded']);
  for (let i = 0; i < 3; i++) {
    await soon(() => { expect(gate.seen.length).toBe(i + 1); });
    gate.answer();
  }
  await soon(() => { expect(recorder.results.map((r) => r.frame.seq)).toEqual([0, 1, 5]); });
  expect(recorder.released).toBe(6);
  expect(gate.seen[0]).toMatchObject({ sourceWidth: 64, sourceHeight: 48, confidence: 0.5 });
});

test('[EXT-6] a picture that has waited long may be taken the place of out of its turn, which is no loss', async () => {
  const gate = new Gate();
  await using _worker = await FakeWorker.start({ listen, models: { m: gate.infer }, inputSize: SIZE, credits: 1 });
  const recorder = new Recorder();
  using dispatcher = recorder.dispatcher();
  await soon(() => { expect(dispatcher.model('m')).toBeDefined(); });
  expect(dispatcher.waitsFor('a', 'd')).toBe(0);
  recorder.offer(dispatcher, 0);
  expect(dispatcher.waitsFor('a', 'd')).toBe(0); // it is on its way
  recorder.offer(dispatcher, 1);
  await soon(() => { expect(dispatcher.waitsFor('a', 'd')).toBeGreaterThan(100); });
  expect([dispatcher.waitsFor('a', 'other'), dispatcher.waitsFor('b', 'd')]).toEqual([0, 0]);
  recorder.offer(dispatcher, 2, 'a', { refresh: true });
  expect(dispatcher.waitsFor('a', 'd')).toBeLessThan(100);
  expect(recorder.skips).toEqual(['refreshed']);
  recorder.offer(dispatcher, 3);
  expect(recorder.skips).toEqual(['refreshed', 'superseded']);
  for (let i = 0; i < 2; i++) {
    await soon(() => { expect(gate.seen.length).toBe(i + 1); });
    gate.answer();
  }
  await soon(() => { expect(recorder.results.map((r) => r.frame.seq)).toEqual([0, 3]); });
  expect(dispatcher.waitsFor('a', 'd')).toBe(0);
});

test('[EXT-3] how long a turn has waited is told of the picture that was first to wait in it', async () => {
  const gate = new Gate();
  await using _worker = await FakeWorker.start({ listen, models: { m: gate.infer }, inputSize: SIZE, credits: 1 });
  const recorder = new Recorder();
  using dispatcher = recorder.dispatcher();
  await soon(() => { expect(dispatcher.model('m')).toBeDefined(); });
  recorder.offer(dispatcher, 0);
  recorder.offer(dispatcher, 1);
  await soon(() => { expect(dispatcher.waitsFor('a', 'd')).toBeGreaterThan(100); });
  recorder.offer(dispatcher, 2, 'a', { refresh: true });
  for (let i = 0; i < 2; i++) {
    await soon(() => { expect(gate.seen.length).toBe(i + 1); });
    gate.answer();
  }
  await soon(() => { expect(recorder.results.map((r) => r.frame.seq)).toEqual([0, 2]); });
  expect(recorder.timings[1]?.queueMs).toBeGreaterThan(100);
});

test('a picture not answered in time is given up, one that never got credit is counted as such', async () => {
  const gate = new Gate();
  await using _worker = await FakeWorker.start({ listen, models: { m: gate.infer }, inputSize: SIZE, credits: 1 });
  const recorder = new Recorder();
  using dispatcher = recorder.dispatcher(300);
  await soon(() => { expect(dispatcher.model('m')).toBeDefined(); });
  recorder.offer(dispatcher, 0);
  recorder.offer(dispatcher, 1);
  await soon(() => { expect(recorder.skips.toSorted()).toEqual(['deadline', 'no_credit']); });
  gate.answer();
  recorder.offer(dispatcher, 2);
  await soon(() => { expect(gate.seen.length).toBe(2); });
  gate.answer();
  await soon(() => { expect(recorder.results.map((r) => r.frame.seq)).toEqual([2]); });
});

test.each([
  { confidence: 0.5, faintConfidence: null, asked: Math.fround(0.5), detected: [0.9, 0.5, 0.4, 0.1], faint: [] },
  { confidence: 0.5, faintConfidence: 0.1, asked: Math.fround(0.1), detected: [0.9, 0.5], faint: [0.4, 0.1] },
  { confidence: 0.4, faintConfidence: 0.1, asked: Math.fround(0.1), detected: [0.9, 0.5, 0.4], faint: [0.1] }, // 0.4 is no 32-bit float
  { confidence: null, faintConfidence: 0.1, asked: Math.fround(0.1), detected: [0.9, 0.5], faint: [0.4, 0.1] }, // the model's own is 0.5
  { confidence: 0.05, faintConfidence: 0.1, asked: Math.fround(0.05), detected: [0.9, 0.5, 0.4, 0.1], faint: [] },
])('[INF-6] of $confidence wanted and $faintConfidence as faint, what lies between is told apart', async ({ confidence, faintConfidence, asked, detected, faint }) => {
  const seen: InferenceFrame[] = [];
  const scores = [0.9, 0.5, 0.4, 0.1];
  const infer = (frame: InferenceFrame): Detection[] => {
    seen.push(frame);
    return scores.map((score) => ({ className: 'thing', classId: 0, confidence: score, bbox: { x: 1, y: 2, width: 3, height: 4 }, trackId: null }));
  };
  await using _worker = await FakeWorker.start({ listen, models: { m: infer }, inputSize: SIZE });
  const recorder = new Recorder();
  using dispatcher = recorder.dispatcher();
  await soon(() => { expect(dispatcher.model('m')).toBeDefined(); });
  recorder.offer(dispatcher, 0, 'a', { confidence, faintConfidence });
  await soon(() => { expect(recorder.results).toHaveLength(1); });
  expect(seen[0]?.confidence).toBe(asked);
  expect(recorder.results[0]?.detections.map((each) => each.confidence)).toEqual(detected);
  expect(recorder.faint[0]?.map((each) => each.confidence)).toEqual(faint);
});

test('[INF-1] a worker that goes costs what was on its way; one that comes is found', async () => {
  const recorder = new Recorder();
  using dispatcher = recorder.dispatcher();
  recorder.offer(dispatcher, 0);
  expect(recorder.skips).toEqual(['worker_lost']);
  const gate = new Gate();
  const first = await FakeWorker.start({ listen, models: { m: gate.infer }, inputSize: SIZE });
  await soon(() => { expect(dispatcher.model('m')).toBeDefined(); });
  recorder.offer(dispatcher, 1);
  await soon(() => { expect(gate.seen.length).toBe(1); });
  await first[Symbol.asyncDispose]();
  await soon(() => { expect(recorder.skips).toEqual(['worker_lost', 'worker_lost']); });
  expect(dispatcher.model('m')).toBeUndefined();
  await using _second = await FakeWorker.start({ listen, models: { m: () => [] }, inputSize: SIZE });
  await soon(() => { expect(dispatcher.model('m')).toBeDefined(); });
  recorder.offer(dispatcher, 2);
  await soon(() => { expect(recorder.results.map((r) => r.frame.seq)).toEqual([2]); });
});

test('a forgotten camera hears nothing more, and another one gets its credit', async () => {
  const gate = new Gate();
  await using _worker = await FakeWorker.start({ listen, models: { m: gate.infer }, inputSize: SIZE, credits: 1 });
  const recorder = new Recorder();
  using dispatcher = recorder.dispatcher();
  await soon(() => { expect(dispatcher.model('m')).toBeDefined(); });
  recorder.offer(dispatcher, 0, 'a');
  recorder.offer(dispatcher, 1, 'a');
  recorder.offer(dispatcher, 2, 'b');
  dispatcher.forget('a');
  await soon(() => { expect(gate.seen.length).toBe(1); });
  gate.answer();
  await soon(() => { expect(gate.seen.length).toBe(2); });
  gate.answer();
  await soon(() => { expect(recorder.results.map((r) => r.frame.stream)).toEqual(['b']); });
  expect(recorder.skips).toEqual([]);
  expect(recorder.released).toBe(3);
});

test('[INF-1] pictures go to all workers at once, and a detector\'s results come in the order of its pictures', async () => {
  const [slow, fast] = [new Gate(), new Gate()];
  const second = `${listen}2`;
  await using _slow = await FakeWorker.start({ listen, models: { m: slow.infer }, inputSize: SIZE, credits: 1 });
  await using _fast = await FakeWorker.start({ listen: second, models: { m: fast.infer }, inputSize: SIZE, credits: 1 });
  const recorder = new Recorder();
  using dispatcher = recorder.dispatcher(10_000, [listen, second]);
  await allConnected(dispatcher);
  recorder.offer(dispatcher, 0);
  recorder.offer(dispatcher, 1);
  recorder.offer(dispatcher, 2, 'b');
  await soon(() => { expect([slow.seen.length, fast.seen.length]).toEqual([1, 1]); });
  fast.answer(); // picture 1 of a, before picture 0
  await soon(() => { expect(fast.seen.length).toBe(2); });
  fast.answer();
  await soon(() => { expect(recorder.results.map((r) => r.frame.seq)).toEqual([2]); });
  slow.answer();
  await soon(() => { expect(recorder.results.map((r) => r.frame.seq)).toEqual([2, 0, 1]); });
  expect(dispatcher.reports()).toMatchObject([{ address: listen, answered: 1, unanswered: 0 }, { address: second, answered: 2, unanswered: 0 }]);
});

test('[INF-1] a worker that hangs costs one deadline of the pictures it has, and the others go on meanwhile', async () => {
  const hangs = new Gate();
  const second = `${listen}2`;
  await using _hangs = await FakeWorker.start({ listen, models: { m: hangs.infer }, inputSize: SIZE, credits: 1 });
  await using _works = await FakeWorker.start({ listen: second, models: { m: () => [] }, inputSize: SIZE, credits: 1 });
  const recorder = new Recorder();
  using dispatcher = recorder.dispatcher(400, [listen, second]);
  await allConnected(dispatcher);
  recorder.offer(dispatcher, 0);
  await soon(() => { expect(hangs.seen.length).toBe(1); });
  recorder.offer(dispatcher, 1, 'b');
  await soon(() => { expect(recorder.results.map((r) => r.frame.seq)).toEqual([1]); });
  expect(recorder.skips).toEqual([]);
  await soon(() => { expect(recorder.skips).toEqual(['deadline']); });
  for (let seq = 2; seq < 6; seq++) {
    recorder.offer(dispatcher, seq);
    await soon(() => { expect(recorder.results.at(-1)?.frame.seq).toBe(seq); });
  }
  expect(recorder.skips).toEqual(['deadline']);
});

test('[INF-1] a worker killed costs the pictures it had; those that wait go to the others', async () => {
  const [dies, lives] = [new Gate(), new Gate()];
  const second = `${listen}2`;
  const first = await FakeWorker.start({ listen, models: { m: dies.infer }, inputSize: SIZE, credits: 1 });
  await using _lives = await FakeWorker.start({ listen: second, models: { m: lives.infer }, inputSize: SIZE, credits: 1 });
  const recorder = new Recorder();
  using dispatcher = recorder.dispatcher(10_000, [listen, second]);
  await allConnected(dispatcher);
  for (const camera of ['a', 'b', 'c']) recorder.offer(dispatcher, 0, camera);
  await soon(() => { expect([dies.seen.length, lives.seen.length]).toEqual([1, 1]); });
  await first[Symbol.asyncDispose]();
  await soon(() => { expect(recorder.skips).toEqual(['worker_lost']); });
  lives.answer();
  await soon(() => { expect(lives.seen.length).toBe(2); });
  lives.answer();
  await soon(() => { expect(recorder.results.map((r) => r.frame.stream)).toEqual(['b', 'c']); });
});

test('[INF-1] workers join and leave while pictures come; one that leaves answers what it has', async () => {
  const clock = new FakeClock();
  const [old, young] = [new Gate(), new Gate()];
  const second = `${listen}2`;
  await using _old = await FakeWorker.start({ listen, models: { m: old.infer }, inputSize: SIZE, credits: 1 });
  await using _young = await FakeWorker.start({ listen: second, models: { m: young.infer }, inputSize: SIZE, credits: 1 });
  const recorder = new Recorder();
  using dispatcher = new Dispatcher({ workers: [{ address: listen }], deadlineMs: 60_000, listener: recorder.listener, clock, logger: silentLogger() });
  await allConnected(dispatcher);
  recorder.offer(dispatcher, 0);
  recorder.offer(dispatcher, 0, 'b');
  await soon(() => { expect(old.seen.length).toBe(1); });
  dispatcher.setWorkers([{ address: listen }, { address: second }]);
  await soon(() => { expect(young.seen.length).toBe(1); });
  young.answer();
  await soon(() => { expect(recorder.results.map((r) => r.frame.stream)).toEqual(['b']); });

  // Not listed for a moment, as when control starts again: it stays.
  dispatcher.setWorkers([{ address: second }]);
  clock.advance(9000);
  dispatcher.setWorkers([{ address: listen }, { address: second }]);
  clock.advance(9000);
  expect(dispatcher.reports().map(({ address }) => address)).toEqual([listen, second]);

  dispatcher.setWorkers([{ address: second }]);
  clock.advance(10_001);
  expect(dispatcher.reports().map(({ address }) => address)).toEqual([second]);
  old.answer();
  await soon(() => { expect(recorder.results.map((r) => r.frame.stream)).toEqual(['b', 'a']); });
  expect(recorder.skips).toEqual([]);
  recorder.offer(dispatcher, 1);
  await soon(() => { expect(young.seen.length).toBe(2); });
  expect(old.seen.length).toBe(1);
});

test('[INF-1] a picture goes only to a worker that has its model, in its size; a model that nobody has is refused', async () => {
  const second = `${listen}2`;
  const seen: string[] = [];
  const model = (name: string) => (): [] => { seen.push(name); return []; };
  await using _first = await FakeWorker.start({ listen, models: { m: model('first m'), only: model('first only') }, inputSize: SIZE });
  await using _second = await FakeWorker.start({ listen: second, models: { m: model('second m') }, inputSize: 2 * SIZE });
  const recorder = new Recorder();
  using dispatcher = recorder.dispatcher(10_000, [listen, second]);
  await allConnected(dispatcher);
  expect(dispatcher.model('m')?.inputWidth).toBe(SIZE);
  for (let seq = 0; seq < 4; seq++) {
    recorder.offer(dispatcher, seq);
    recorder.offer(dispatcher, seq, 'b', { model: 'only' });
    await soon(() => { expect(recorder.results).toHaveLength(2 * seq + 2); });
  }
  expect(new Set(seen)).toEqual(new Set(['first m', 'first only']));
  recorder.offer(dispatcher, 9, 'a', { model: 'nobody has it' });
  await soon(() => { expect(recorder.skips).toEqual(['refused']); });
});

test('[INF-1] pictures sent without credit are refused, and who goes on sending them is cut off', async () => {
  const gate = new Gate();
  await using _worker = await FakeWorker.start({ listen, models: { m: gate.infer }, inputSize: SIZE, credits: 1 });
  using client = GrpcClient.dial(InferenceService, listen);
  const stream = client.call.detect();
  const answers: DetectResponse[] = [];
  let failure = '';
  stream.on('data', (answer: DetectResponse) => { answers.push(answer); });
  stream.on('error', (error) => { failure = error.message; });
  const send = (id: bigint): void => { stream.write(create(DetectRequestSchema, { requestId: id, model: 'm', deadlineMs: 1000, pixels: new Uint8Array(3 * SIZE * SIZE), sourceWidth: 1, sourceHeight: 1 })); };
  send(1n);
  send(2n);
  await soon(() => { expect(answers[1]?.message).toMatchObject({ case: 'refusal', value: { requestId: 2n, reason: RefusalReason.NO_CREDIT } }); });
  for (let id = 3n; id < 30n; id++) send(id);
  await soon(() => { expect(failure).toContain('RESOURCE_EXHAUSTED'); });
});

test('[INF-5][EXT-6] credit that a model brings for its batches is not used up by pictures that would only wait', async () => {
  const [single, many] = [new Gate(), new Gate()];
  await using _worker = await FakeWorker.start({ listen, models: { m: single.infer, n: many.infer, o: () => [] }, batches: { n: 3 }, inputSize: SIZE, credits: 2 });
  const recorder = new Recorder();
  using dispatcher = recorder.dispatcher();
  await allConnected(dispatcher);
  const there = (): number => dispatcher.reports()[0]?.unanswered ?? 0;
  for (const camera of ['a', 'b', 'c', 'd']) recorder.offer(dispatcher, 1, camera);
  recorder.offer(dispatcher, 1, 'j', { model: 'o' }); // would wait for the two before
  expect(there()).toBe(2);
  for (const camera of ['e', 'f', 'g', 'h', 'i']) recorder.offer(dispatcher, 1, camera, { model: 'n' });
  expect(there()).toBe(6);
  await vi.waitFor(() => {
    single.answer();
    many.answer();
    expect(recorder.results).toHaveLength(10);
  }, 10_000);
  expect(recorder.skips).toEqual([]);
  expect(recorder.results.map(({ frame }) => frame.stream).toSorted()).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j']);
});

test('[INF-7] it tells which models there are, of all workers', async () => {
  const other = `unix:${join(folder, 'other.sock')}`;
  await using _first = await FakeWorker.start({ listen, models: { m: () => [], n: () => [] }, inputSize: SIZE });
  await using _second = await FakeWorker.start({ listen: other, models: { n: () => [], o: () => [] }, inputSize: 2 * SIZE });
  using dispatcher = new Recorder().dispatcher(10_000, [listen, other]);
  expect(dispatcher.models().size).toBe(0);
  await allConnected(dispatcher);
  expect([...dispatcher.models()].map(([name, { state, inputWidth }]) => [name, state, inputWidth])).toEqual([['m', 'ready', SIZE], ['n', 'ready', SIZE], ['o', 'ready', 2 * SIZE]]);
});

test('[INF-1] a worker of this machine sees pictures in shared memory, also after it began anew, and is sent those that find no room there', async () => {
  const put = vi.spyOn(PictureMemory.prototype, 'put');
  const free = vi.spyOn(PictureMemory.prototype, 'free');
  try {
    const seen: number[] = [];
    const start = () => FakeWorker.start({ listen, models: { m: ({ pixels }) => { seen.push(pixels[0] ?? -1); return []; } }, inputSize: SIZE });
    const recorder = new Recorder();
    using dispatcher = recorder.dispatcher();
    const look = async (seq: number): Promise<void> => {
      recorder.offer(dispatcher, seq, 'a', { pixels: { bytes: new Uint8Array(3 * SIZE * SIZE).fill(seq), [Symbol.dispose]: () => { recorder.released++; } } });
      await soon(() => { expect(recorder.results.length).toBe(seq); });
    };
    for (const [before, after] of [[1, 2], [3, 4]] as const) {
      await using _worker = await start();
      await soon(() => { expect(dispatcher.model('m')).toBeDefined(); });
      await look(before);
      put.mockReturnValueOnce(null);
      await look(after);
    }
    expect(seen).toEqual([1, 2, 3, 4]);
    expect(recorder.released).toBe(4);
    expect(put.mock.results.map(({ value }) => value as number | null)).toEqual([0, null, 0, null]);
    expect(free.mock.calls).toEqual([[0], [0]]);
  } finally {
    vi.restoreAllMocks();
  }
});
