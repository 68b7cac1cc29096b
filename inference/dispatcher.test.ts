import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../core/clock.ts';
import type { DetectionResult } from '../core/detection.ts';
import { GrpcClient } from '../platform/grpc/client.ts';
import { silentLogger } from '../platform/logging.ts';
import { DetectRequestSchema, InferenceService, RefusalReason } from '../proto/gen/imageflow/v1/inference_pb.ts';
import type { DetectResponse } from '../proto/gen/imageflow/v1/inference_pb.ts';
import { Dispatcher } from './dispatcher.ts';
import type { DispatchSkip, InferenceFrame } from './port.ts';
import { FakeWorker } from './testing/fake-worker.ts';

const SIZE = 8;
let folder: string;
let listen: string;
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'if-disp-')); listen = `unix:${join(folder, 'w.sock')}`; });
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });

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
  readonly skips: DispatchSkip[] = [];
  released = 0;
  readonly listener = {
    onResult: (_detector: string, result: DetectionResult): void => { this.results.push(result); },
    onSkip: (_camera: string, reason: DispatchSkip): void => { this.skips.push(reason); },
  };
  dispatcher(deadlineMs = 10_000): Dispatcher {
    return new Dispatcher({ address: listen, deadlineMs, listener: this.listener, clock: systemClock, logger: silentLogger() });
  }
  offer(dispatcher: Dispatcher, seq: number, camera = 'a'): void {
    dispatcher.offer({
      camera, detector: 'd', model: 'm', confidence: 0.5, frame: { stream: camera, epoch: 1, rtpTs: seq, captureNtp: null, seq }, capturedAt: 0, sourceWidth: 64, sourceHeight: 48,
      pixels: { bytes: new Uint8Array(3 * SIZE * SIZE), [Symbol.dispose]: () => { this.released++; } },
    });
  }
}

test('[EXT-6][INF-1] with all credit out the newest picture waits, older ones are superseded, and every buffer comes back', async () => {
  const gate = new Gate();
  await using worker = await FakeWorker.start({ listen, models: { m: gate.infer }, inputSize: SIZE, credits: 2 });
  expect(worker.address).toBe(listen);
  const recorder = new Recorder();
  using dispatcher = recorder.dispatcher();
  await vi.waitFor(() => { expect(dispatcher.model('m')).toBeDefined(); });
  for (let seq = 0; seq < 6; seq++) recorder.offer(dispatcher, seq);
  expect(recorder.skips).toEqual(['superseded', 'superseded', 'superseded']);
  for (let i = 0; i < 3; i++) {
    await vi.waitFor(() => { expect(gate.seen.length).toBe(i + 1); });
    gate.answer();
  }
  await vi.waitFor(() => { expect(recorder.results.map((r) => r.frame.seq)).toEqual([0, 1, 5]); });
  expect(recorder.released).toBe(6);
  expect(gate.seen[0]).toMatchObject({ sourceWidth: 64, sourceHeight: 48, confidence: 0.5 });
});

test('a picture not answered in time is given up, one that never got credit is counted as such', async () => {
  const gate = new Gate();
  await using _worker = await FakeWorker.start({ listen, models: { m: gate.infer }, inputSize: SIZE, credits: 1 });
  const recorder = new Recorder();
  using dispatcher = recorder.dispatcher(300);
  await vi.waitFor(() => { expect(dispatcher.model('m')).toBeDefined(); });
  recorder.offer(dispatcher, 0);
  recorder.offer(dispatcher, 1);
  await vi.waitFor(() => { expect(recorder.skips.toSorted()).toEqual(['deadline', 'no_credit']); }, 5000);
  gate.answer();
  recorder.offer(dispatcher, 2);
  await vi.waitFor(() => { expect(gate.seen.length).toBe(2); });
  gate.answer();
  await vi.waitFor(() => { expect(recorder.results.map((r) => r.frame.seq)).toEqual([2]); });
});

test('[INF-1] a worker that goes costs what was on its way; one that comes is found', async () => {
  const recorder = new Recorder();
  using dispatcher = recorder.dispatcher();
  recorder.offer(dispatcher, 0);
  expect(recorder.skips).toEqual(['worker_lost']);
  const gate = new Gate();
  const first = await FakeWorker.start({ listen, models: { m: gate.infer }, inputSize: SIZE });
  await vi.waitFor(() => { expect(dispatcher.model('m')).toBeDefined(); }, 5000);
  recorder.offer(dispatcher, 1);
  await vi.waitFor(() => { expect(gate.seen.length).toBe(1); });
  await first[Symbol.asyncDispose]();
  await vi.waitFor(() => { expect(recorder.skips).toEqual(['worker_lost', 'worker_lost']); }, 5000);
  expect(dispatcher.model('m')).toBeUndefined();
  await using _second = await FakeWorker.start({ listen, models: { m: () => [] }, inputSize: SIZE });
  await vi.waitFor(() => { expect(dispatcher.model('m')).toBeDefined(); }, 5000);
  recorder.offer(dispatcher, 2);
  await vi.waitFor(() => { expect(recorder.results.map((r) => r.frame.seq)).toEqual([2]); });
});

test('a forgotten camera hears nothing more, and another one gets its credit', async () => {
  const gate = new Gate();
  await using _worker = await FakeWorker.start({ listen, models: { m: gate.infer }, inputSize: SIZE, credits: 1 });
  const recorder = new Recorder();
  using dispatcher = recorder.dispatcher();
  await vi.waitFor(() => { expect(dispatcher.model('m')).toBeDefined(); });
  recorder.offer(dispatcher, 0, 'a');
  recorder.offer(dispatcher, 1, 'a');
  recorder.offer(dispatcher, 2, 'b');
  dispatcher.forget('a');
  await vi.waitFor(() => { expect(gate.seen.length).toBe(1); });
  gate.answer();
  await vi.waitFor(() => { expect(gate.seen.length).toBe(2); });
  gate.answer();
  await vi.waitFor(() => { expect(recorder.results.map((r) => r.frame.stream)).toEqual(['b']); });
  expect(recorder.skips).toEqual([]);
  expect(recorder.released).toBe(3);
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
  await vi.waitFor(() => { expect(answers[1]?.message).toMatchObject({ case: 'refusal', value: { requestId: 2n, reason: RefusalReason.NO_CREDIT } }); });
  for (let id = 3n; id < 30n; id++) send(id);
  await vi.waitFor(() => { expect(failure).toContain('RESOURCE_EXHAUSTED'); });
});
