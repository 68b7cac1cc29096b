/** The worker as a KServe server, asked by NVIDIA's own client and by another worker of ours. */
import { hash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { workerMetrics } from '../../inference/worker-metrics.ts';
import { OnnxModel } from '../../inference/models/onnx-session.ts';
import { ChildProcess } from '../../platform/child-process.ts';
import { GrpcClient } from '../../platform/grpc/client.ts';
import { GetStatisticsRequestSchema, InferenceService, ModelState } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import type { Model } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import { GRPCInferenceService, ModelInferRequestSchema } from '../../proto/gen/inference/kserve_pb.ts';
import { Asker, picture, settledModels } from '../support/inference-clients.ts';
import { tinyModel } from '../support/onnx-writer.ts';
import { until } from '../support/server.ts';
import { TritonClient } from '../support/triton-client.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const TOKEN = 'a token of the machines';
const SIDE = 416;
const BUNDLED = 'nanodet-g-416.int8.u8';
const FLOAT = 'nanodet-g-416';
const FILES = { [BUNDLED]: join(ROOT, 'models', `${BUNDLED}.onnx`), [FLOAT]: join(ROOT, 'test/fixtures/models', `${FLOAT}.onnx`) };
const INPUT = { inputWidth: SIDE, inputHeight: SIDE };
const OUTPUT = 'output0';
/** Calls of KServe clients that the worker takes at a time. */
const CALLS = 4;

let folder: string;
let pixels: string;
let worker: ChildProcess;
/** By TCP, with the token. */
let address: string;
let triton: TritonClient;

const startWorker = async (data: string, listen: string, env: Readonly<Record<string, string>>): Promise<{ readonly worker: ChildProcess; readonly address: string }> => {
  const ready = Promise.withResolvers<string>();
  const started = ChildProcess.spawn({
    title: 'imageflow-edge worker',
    script: join(ROOT, 'processes/worker.ts'),
    env: { IMAGEFLOW_DATA_DIR: data, IMAGEFLOW_WORKER_LISTEN: listen, IMAGEFLOW_LOG_LEVEL: 'error', ...env },
    onStderrLine: () => undefined, // it complains of the models it is given below
    onMessage: (message) => { if (message['type'] === 'ready') ready.resolve(String(message['listen'])); },
  });
  return { worker: started, address: await ready.promise };
};

/** Waits until a worker has tried the models named, and those it has beside them. */
const tried = (at: string, names: readonly string[], token?: string): Promise<ReadonlyMap<string, Model>> => until('the models were tried', async () => {
  const models = await settledModels(at, token);
  return names.every((name) => models.has(name)) && models;
}, 60_000);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'if-kserve-'));
  const models = join(folder, 'data/models');
  mkdirSync(models, { recursive: true });
  copyFileSync(FILES[FLOAT], join(models, `${FLOAT}.onnx`));
  writeFileSync(join(models, 'broken.onnx'), 'this is no model');
  writeFileSync(join(models, 'elsewhere.kserve.json'), JSON.stringify({ urls: ['127.0.0.1:1'], model: 'm' }));
  writeFileSync(join(models, 'any-size.onnx'), tinyModel({
    input: { type: 'float32', dims: ['batch', 3, 'height', 'width'] }, outputs: [{ name: 'output0', type: 'float32', dims: [1, 2], base: [0.1, 0.2], gain: [0.5, -0.1] }],
  }));
  writeFileSync(join(models, 'any-size.json'), '{"size": 64, "layout": "classification"}');
  pixels = join(folder, 'messi5.rgb');
  writeFileSync(pixels, picture('messi5.jpg', INPUT).pixels);
  ({ worker, address } = await startWorker(join(folder, 'data'), '127.0.0.1:0', { IMAGEFLOW_CONTROL_INTERNAL_TOKEN: TOKEN, IMAGEFLOW_WORKER_KSERVE_CALLS: String(CALLS) }));
  triton = TritonClient.start(address, TOKEN);
  await tried(address, [BUNDLED, FLOAT, 'any-size', 'broken', 'elsewhere'], TOKEN);
}, 900_000); // the first time tritonclient is installed
afterAll(async () => {
  await triton[Symbol.asyncDispose]();
  await worker[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const image = { name: 'images', datatype: 'UINT8', shape: [1, SIDE, SIDE, 3] };
const planes = { name: 'images', datatype: 'FP32', shape: [1, 3, SIDE, SIDE] };
const digestOf = (model: keyof typeof FILES): string => hash('sha256', readFileSync(FILES[model]));

test('[INF-4] tritonclient is told of the server and its models', async () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { readonly version: string };
  expect(await triton.ask({ do: 'told', model: BUNDLED })).toMatchObject({
    live: true, ready: true, model_ready: true, other_ready: false, server: { name: 'imageflow-edge', version },
    model: { name: BUNDLED, versions: [digestOf(BUNDLED)], platform: 'onnxruntime_onnx', inputs: [{ ...image, shape: image.shape.map(String) }], outputs: [{ name: OUTPUT, datatype: 'FP32' }] },
  });
  expect(await triton.ask({ do: 'told', model: 'any-size' })).toMatchObject({ model: { inputs: [{ name: 'images', datatype: 'FP32', shape: ['-1', '3', '-1', '-1'] }] } });
});

test.each([[BUNDLED, image], [FLOAT, planes]] as const)('[INF-4] what tritonclient gets of %s is what onnxruntime in Python says, and what our own session says, bit for bit', async (model, input) => {
  const job = { model, id: 'call 7', inputs: [{ ...input, file: pixels }], onnx: FILES[model] };
  const answer = await triton.ask({ do: 'infer', ...job }) as { readonly off: number; readonly largest: number; readonly values: number };
  expect(answer).toMatchObject({ id: 'call 7', version: digestOf(model), outputs: [{ name: OUTPUT, datatype: 'FP32' }] });
  expect(answer.values).toBeGreaterThan(1000);
  expect(answer.largest).toBeGreaterThan(100); // it saw something: boxes in pixels
  expect(answer.off).toBeLessThanOrEqual(1e-5);
  expect(await triton.ask({ do: 'infer', ...job, compression: 'gzip', outputs: [OUTPUT], version: digestOf(model) })).toMatchObject({ off: answer.off });
  expect(await triton.ask({ do: 'typed', ...job })).toEqual({ same: true });

  const bytes = readFileSync(FILES[model]);
  using local = await OnnxModel.load({ name: model, path: FILES[model], bytes, digest: '', threads: 0, bundledFolder: join(ROOT, 'models'), clock: systemClock });
  const raw = readFileSync(pixels);
  const floats = Float32Array.from({ length: raw.length }, (_, i) => (raw[(i % (SIDE * SIDE)) * 3 + Math.floor(i / (SIDE * SIDE))] ?? 0) / 255);
  const [feed, contents] = input.datatype === 'UINT8' ? [{ type: 'uint8' as const, data: new Uint8Array(raw), dims: input.shape }, raw] : [{ type: 'float32' as const, data: floats, dims: input.shape }, new Uint8Array(floats.buffer)];
  const own = (await local.tensors.run({ images: feed }, [OUTPUT]))[OUTPUT];
  using client = GrpcClient.dial(GRPCInferenceService, address, { token: TOKEN });
  const far = await client.call.modelInfer(create(ModelInferRequestSchema, { modelName: model, inputs: [{ ...input, shape: input.shape.map(BigInt) }], rawInputContents: [contents] }), { deadlineMs: 60_000 });
  expect(far.outputs.map(({ shape }) => shape.map(Number))).toEqual([[...(own?.dims ?? [])]]);
  expect(Buffer.from((own?.data as Float32Array).buffer).equals(far.rawOutputContents[0] ?? new Uint8Array(0))).toBe(true);
});

test('[INF-4] a symbolic size takes what a picture has here, and less', async () => {
  const ask = (shape: readonly number[]): Promise<unknown> => triton.ask({ do: 'infer', model: 'any-size', inputs: [{ name: 'images', datatype: 'FP32', shape }] });
  for (const shape of [[1, 3, 64, 64], [1, 3, 1, 8]]) expect(await ask(shape)).toMatchObject({ outputs: [{ name: 'output0', shape: [1, 2] }], raw: [8] });
  expect(await ask([2, 3, 64, 64])).toMatchObject({ status: 'StatusCode.INVALID_ARGUMENT', message: 'the input images is of shape [2,3,64,64], the model takes [-1,3,-1,-1], at most [1,3,64,64]' });
});

test.each<[string, object, string, string]>([
  ['another shape', { inputs: [{ ...image, shape: [1, 3, SIDE, SIDE] }] }, 'INVALID_ARGUMENT', `the input images is of shape [1,3,${SIDE},${SIDE}], the model takes [1,${SIDE},${SIDE},3]`],
  ['another type', { inputs: [{ ...image, datatype: 'FP32' }] }, 'INVALID_ARGUMENT', 'the input images is of datatype UINT8, not FP32'],
  ['texts', { inputs: [{ ...image, shape: [1], datatype: 'BYTES' }] }, 'INVALID_ARGUMENT', 'the input images is of datatype UINT8, not BYTES'],
  ['another input', { inputs: [{ ...image, name: 'pixels' }] }, 'INVALID_ARGUMENT', 'the model has no input pixels; it takes images'],
  ['no input', { inputs: [] }, 'INVALID_ARGUMENT', 'the input images is missing'],
  ['another output', { outputs: ['masks'] }, 'INVALID_ARGUMENT', `the model has no output masks; it gives ${OUTPUT}`],
  ['classes', { outputs: [OUTPUT], classes: 3 }, 'INVALID_ARGUMENT', `the output ${OUTPUT} has the parameter classification`],
  ['an unknown model', { model: 'none' }, 'NOT_FOUND', 'no model none here'],
  ['another version', { version: '1' }, 'INVALID_ARGUMENT', 'is here in one version'],
  ['a model that failed', { model: 'broken' }, 'FAILED_PRECONDITION', 'the model broken has failed: '],
  ['a model of another server', { model: 'elsewhere' }, 'FAILED_PRECONDITION', 'runs on a KServe server itself'],
  ['without the token', { headers: {} }, 'UNAUTHENTICATED', 'token'],
])('[INF-4] tritonclient is refused with the reason: %s', async (_what, over, code, reason) => {
  expect(await triton.ask({ do: 'infer', model: BUNDLED, inputs: [image], ...over })).toMatchObject({ status: `StatusCode.${code}`, message: expect.stringContaining(reason) });
});

test('[INF-4] what is not offered is UNIMPLEMENTED', async () => {
  expect(await triton.ask({ do: 'index' })).toMatchObject({ status: 'StatusCode.UNIMPLEMENTED' });
});

test('[INF-4] while KServe clients flood the worker, every live picture is answered, and so are they, as many as it takes at a time', async () => {
  using client = GrpcClient.dial(InferenceService, address, { token: TOKEN });
  const counted = async (): Promise<Readonly<Record<string, bigint>>> => (await client.call.getStatistics(create(GetStatisticsRequestSchema), { deadlineMs: 60_000 })).kserveCalls;
  const before = await counted();
  await triton.ask({ do: 'flood', model: BUNDLED, inputs: [image], callers: 3 * CALLS });
  const flooded = await until('the flood is there', async () => {
    const counts = await triton.ask({ do: 'count' }) as Readonly<Record<string, number>>;
    return (counts['OK'] ?? 0) > CALLS && (counts['StatusCode.RESOURCE_EXHAUSTED'] ?? 0) > 0 && counts;
  }, 60_000);
  using asker = new Asker(address, TOKEN);
  const still = picture('messi5.jpg', INPUT);
  let detections = 0;
  for (let i = 0; i < 30; i++) detections += (await asker.detect(BUNDLED, still, null)).detections.length;
  expect(detections).toBeGreaterThanOrEqual(30);
  const counts = await triton.ask({ do: 'stop' }) as Readonly<Record<string, number>>;
  expect(Object.keys(counts).toSorted()).toEqual(['OK', 'StatusCode.RESOURCE_EXHAUSTED']);
  expect(counts['OK']).toBeGreaterThan(flooded['OK'] ?? 0);
  // Nothing is lost in silence: the worker has counted each.
  const after = await counted();
  const more = (result: string): number => Number((after[result] ?? 0n) - (before[result] ?? 0n));
  expect([more('ok'), more('full')]).toEqual([counts['OK'], counts['StatusCode.RESOURCE_EXHAUSTED']]);
  expect(await workerMetrics(client, AbortSignal.timeout(60_000))).toContain(`imageflow_kserve_calls_total{result="ok",process="worker"} ${String(after['ok'])}\n`);
});

test('[INF-4] another worker of ours runs a model here by a .kserve.json, and finds what this one finds', async () => {
  const other = join(folder, 'other');
  mkdirSync(join(other, 'models'), { recursive: true });
  for (const model of Object.keys(FILES)) writeFileSync(join(other, 'models', `far-${model}.kserve.json`), JSON.stringify({ urls: [address], model, token: TOKEN }));
  writeFileSync(join(other, 'models', 'no-token.kserve.json'), JSON.stringify({ urls: [address], model: BUNDLED }));
  const second = await startWorker(other, `unix:${join(folder, 'other.sock')}`, { IMAGEFLOW_INFERENCE_DEADLINE_MS: '20000' });
  await using _second = second.worker;
  const models = await tried(second.address, [...Object.keys(FILES).map((model) => `far-${model}`), 'no-token']);
  expect(models.get('no-token')).toMatchObject({ state: ModelState.FAILED, failure: expect.stringContaining('this listener asks for its token') });
  using here = new Asker(address, TOKEN);
  using far = new Asker(second.address);
  for (const model of Object.keys(FILES)) {
    expect(models.get(`far-${model}`)).toMatchObject({ state: ModelState.READY, inputWidth: SIDE, inputHeight: SIDE });
    for (const file of ['messi5.jpg', 'basketball1.png', 'vtest-100.png']) {
      const still = picture(file, INPUT);
      const found = (await here.detect(model, still, 0.35)).detections;
      expect(found.length, file).toBeGreaterThan(0);
      expect((await far.detect(`far-${model}`, still, 0.35)).detections).toEqual(found);
    }
  }
});
