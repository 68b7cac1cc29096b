import { hash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { listModels } from '../../inference/model-list.ts';
import { KserveModel } from '../../inference/models/kserve/kserve-model.ts';
import type { InferenceFrame, ModelInfo } from '../../inference/port.ts';
import { workerMetrics } from '../../inference/worker-metrics.ts';
import { ChildProcess } from '../../platform/child-process.ts';
import { GrpcClient } from '../../platform/grpc/client.ts';
import { silentLogger } from '../../platform/logging.ts';
import { GetStatisticsRequestSchema, InferenceService, RefusalReason } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import { RawStream } from '../support/inference-clients.ts';
import { batchedModelThatFailsOnWhite, tinyModel } from '../support/onnx-writer.ts';
import { until } from '../support/server.ts';
import { TritonServer } from '../support/triton-server.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const SIDE = 32;
const MAX_BATCH = 4;
/** One box in each picture, whose score is the picture's grey. */
const outputs = [{ name: 'output0', type: 'float32' as const, dims: [1, 2, 6], base: [10, 12, 18, 16, 0, 1, 0, 0, 0, 0, 0, 0], gain: [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0] }];
const MODELS: Readonly<Record<string, readonly [onnx: Buffer, maxBatch: number]>> = {
  any: [batchedModelThatFailsOnWhite(), MAX_BATCH],
  bytes: [tinyModel({ batched: true, input: { type: 'uint8', dims: ['n', SIDE, SIDE, 3] }, outputs: [{ ...outputs[0]!, gain: outputs[0]!.gain.map((gain) => gain / 255) }] }), MAX_BATCH],
  one: [tinyModel({ batched: true, input: { type: 'float32', dims: ['n', 3, SIDE, SIDE] }, outputs }), 1],
  fixed: [tinyModel({ batched: true, input: { type: 'float32', dims: [MAX_BATCH, 3, SIDE, SIDE] }, outputs }), 0],
};

let folder: string;
let address: string;
let triton: TritonServer;
let worker: ChildProcess;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'if-kbatch-'));
  address = `unix:${join(folder, 'w.sock')}`;
  mkdirSync(join(folder, 'data/models'), { recursive: true });
  mkdirSync(join(folder, 'triton'));
  triton = await TritonServer.start(Object.entries(MODELS).map(([name, [onnx, maxBatch]]) => {
    const path = join(folder, 'triton', `${name}.onnx`);
    writeFileSync(path, onnx);
    return { path, maxBatch };
  }));
  const ready = Promise.withResolvers<undefined>();
  worker = ChildProcess.spawn({
    title: 'imageflow-edge worker',
    script: join(ROOT, 'processes/worker.ts'),
    env: { IMAGEFLOW_DATA_DIR: join(folder, 'data'), IMAGEFLOW_WORKER_LISTEN: address, IMAGEFLOW_LOG_LEVEL: 'error', IMAGEFLOW_INFERENCE_DEADLINE_MS: '5000' },
    onStderrLine: () => undefined, // it complains of the white pictures it is given below
    onMessage: (message) => { if (message['type'] === 'ready') ready.resolve(undefined); },
  });
  await ready.promise;
}, 900_000); // the first time Triton is installed
afterAll(async () => {
  await worker[Symbol.asyncDispose]();
  await triton[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const load = (model: string, batchMax = 8): Promise<KserveModel> => {
  const bytes = Buffer.from(JSON.stringify({ urls: [triton.url], model, confidence: 0.1 }));
  return KserveModel.load({ name: model, path: join(folder, 'none.kserve.json'), bytes, digest: hash('sha256', bytes), threads: 1, batchMax, bundledFolder: join(ROOT, 'models'), clock: systemClock, deadlineMs: 5000, logger: silentLogger() });
};
const frame = (grey: number): InferenceFrame => ({ pixels: new Uint8Array(3 * SIDE * SIDE).fill(grey), sourceWidth: SIDE, sourceHeight: SIDE, confidence: 0.1 });
const GREYS = [51, 204, 0, 153];

/** Loads until several pictures in one call were found to pay: each call costs as much as many such pictures, but other work may hide it. */
const loadBatching = (model: string): Promise<KserveModel> => until(`several pictures of ${model} in one call pay`, async () => {
  const loaded = await load(model);
  if (loaded.batch) return loaded;
  loaded[Symbol.dispose]();
  return null;
}, 100_000);

/** What Triton has counted when it counts no more: it does a moment after it has answered. */
const rest = (name: string): Promise<Awaited<ReturnType<TritonServer['counts']>>> => {
  let last = -1;
  return until(`Triton has counted the calls of ${name}`, async () => {
    const now = await triton.counts(name);
    const rests = now.calls === last;
    last = now.calls;
    return rests && now;
  });
};

test.each(['any', 'bytes'])('[INF-5][INF-4] pictures go to Triton in one call, up to its max_batch_size, and each gets what it gets alone: %s', async (name) => {
  using model = await loadBatching(name);
  expect(model.info.batch.why).toMatch(/^measured, milliseconds a picture by pictures at a time: 1: [\d.]+, 2: [\d.]+/);
  expect([2, MAX_BATCH]).toContain(model.batch!.most);
  const greys = GREYS.slice(0, model.batch!.most);
  const before = await rest(name);
  const outcomes = await model.batch!.infer(greys.map(frame));
  await expect.poll(async () => {
    const after = await triton.counts(name);
    return [after.calls - before.calls, after.pictures - before.pictures];
  }, { timeout: 20_000 }).toEqual([1, greys.length]);
  for (const [at, grey] of greys.entries()) {
    const { detections } = await model.infer(frame(grey));
    expect(outcomes[at]?.detections).toEqual(detections);
    expect(detections.map(({ confidence }) => confidence)).toEqual(grey === 0 ? [] : [expect.closeTo(grey / 255, 3)]);
  }
});

test('[INF-5][INF-4] what Triton takes one by one, or in a fixed number, is asked so, and the reason is told', async () => {
  using one = await load('one');
  expect(one.batch).toBeUndefined();
  expect(one.info.batch).toEqual({ pictures: 1, why: expect.stringMatching(/^two pictures together fail: .*batch-size must be <= 1/) as string });
  using off = await load('any', 1);
  expect([off.batch, off.info.batch]).toEqual([undefined, { pictures: 1, why: 'switched off by batch_max' }]);
  using fixed = await load('fixed');
  expect(fixed.info.batch).toEqual({ pictures: MAX_BATCH, why: 'its input is 4 pictures' });
  for (const greys of [GREYS, GREYS.slice(0, 3), [204]]) {
    expect((await fixed.batch!.infer(greys.map(frame))).map(({ detections: [found] }) => found?.confidence.toFixed(2))).toEqual(greys.map((grey) => (grey === 0 ? undefined : (grey / 255).toFixed(2))));
  }
});

test('[INF-5][INF-4] in one call a picture that Triton fails on costs that one alone, and the server stays in use', async () => {
  using model = await loadBatching('any');
  await expect(model.batch!.infer([frame(204), frame(255)])).rejects.toThrow('Reshape');
  expect((await model.infer(frame(204))).detections).toHaveLength(1); // at once: it was not taken for ill
});

test('[INF-5] a worker puts pictures of several clients together, each is answered for itself, and metrics and model list tell', async () => {
  // A fixed number, so that it does not depend on the machine whether it pays.
  writeFileSync(join(folder, 'data/models/far.kserve.json'), JSON.stringify({ urls: [triton.url], model: 'fixed', confidence: 0.1, batch_delay_ms: 1000 }));
  writeFileSync(join(folder, 'data/models/near.onnx'), tinyModel({ batched: true, input: { type: 'float32', dims: [MAX_BATCH, 3, SIDE, SIDE] }, outputs }));
  writeFileSync(join(folder, 'data/models/near.json'), JSON.stringify({ batch_delay_ms: 1000, confidence: 0.1 }));
  writeFileSync(join(folder, 'data/models/white.onnx'), batchedModelThatFailsOnWhite());
  using client = GrpcClient.dial(InferenceService, address);
  const ready = async (name: string): Promise<ModelInfo> => await until(`${name} is ready`, async () => (await listModels(client)).find((model) => model.name === name && model.state === 'ready'), 60_000);
  for (const name of ['far', 'near']) expect((await ready(name)).batch).toEqual({ pictures: MAX_BATCH, why: 'its input is 4 pictures' });
  expect((await ready('white')).batch.why).toMatch(/^measured, /);
  using a = new RawStream(address);
  using b = new RawStream(address);
  const streams = [a, b];
  for (const model of ['far', 'near']) {
    for (const [at, grey] of GREYS.entries()) {
      streams[at % 2]!.ask({ requestId: BigInt(at), model, deadlineMs: 20_000, pixels: frame(grey).pixels, sourceWidth: SIDE, sourceHeight: SIDE });
    }
    for (const [at, grey] of GREYS.entries()) {
      const answer = await streams[at % 2]!.answer();
      expect(answer).toMatchObject({ case: 'outcome', value: { requestId: BigInt(at), objects: grey === 0 ? [] : [{ classId: 1 }] } });
      if (answer?.case === 'outcome' && grey > 0) expect(answer.value.objects[0]?.confidence).toBeCloseTo(grey / 255, 3);
    }
  }
  const { batches } = await client.call.getStatistics(create(GetStatisticsRequestSchema), { deadlineMs: 20_000 });
  for (const model of ['far', 'near']) {
    const runs = batches.filter((each) => each.model === model);
    expect(runs.reduce((sum, { pictures, runs: count }) => sum + pictures * Number(count), 0)).toBe(GREYS.length);
    expect(runs.reduce((sum, { runs: count }) => sum + Number(count), 0)).toBeLessThan(GREYS.length);
  }
  expect(await workerMetrics(client, AbortSignal.timeout(20_000))).toContain('imageflow_inference_run_pictures_sum{model="near",process="worker"} 4\n');
  for (const [at, grey] of [204, 255, 102].entries()) a.ask({ requestId: BigInt(at), model: 'white', deadlineMs: 20_000, pixels: frame(grey).pixels, sourceWidth: SIDE, sourceHeight: SIDE, confidence: 0.1 });
  const answers = [await a.answer(), await a.answer(), await a.answer()];
  expect(answers.map((answer) => [answer?.case, answer?.case === 'refusal' ? answer.value.reason : null])).toEqual([['outcome', null], ['refusal', RefusalReason.INFERENCE_FAILED], ['outcome', null]]);
});
