import { hash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import type { Detection } from '../../core/detection.ts';
import { Dispatcher } from '../../inference/dispatcher.ts';
import { listModels } from '../../inference/model-list.ts';
import { KserveModel } from '../../inference/models/kserve/kserve-model.ts';
import type { LoadOptions } from '../../inference/models/loaded-model.ts';
import { OnnxModel } from '../../inference/models/onnx-session.ts';
import type { ModelInfo } from '../../inference/port.ts';
import { ChildProcess } from '../../platform/child-process.ts';
import { GrpcClient } from '../../platform/grpc/client.ts';
import { silentLogger } from '../../platform/logging.ts';
import { InferenceService } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import { until } from '../support/server.ts';
import { letterboxed } from '../support/still-picture.ts';
import { TritonServer } from '../support/triton-server.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const IMAGES = join(ROOT, 'test/fixtures/images');
const PICTURES = ['messi5.jpg', 'basketball1.png', 'vtest-100.png'];
const BUNDLED = 'nanodet-g-416.int8.u8';
const NO_SERVER = '127.0.0.1:1';

const FILES = { [BUNDLED]: join(ROOT, 'models', `${BUNDLED}.onnx`), 'nanodet-g-416': join(ROOT, 'test/fixtures/models/nanodet-g-416.onnx') };

let folder: string;
let address: string;
let triton: TritonServer;
let worker: ChildProcess;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'if-kserve-'));
  address = `unix:${join(folder, 'w.sock')}`;
  mkdirSync(join(folder, 'data/models'), { recursive: true });
  triton = await TritonServer.start(Object.values(FILES));
  const ready = Promise.withResolvers<undefined>();
  worker = ChildProcess.spawn({
    title: 'imageflow-edge worker',
    script: join(ROOT, 'processes/worker.ts'),
    env: { IMAGEFLOW_DATA_DIR: join(folder, 'data'), IMAGEFLOW_WORKER_LISTEN: address, IMAGEFLOW_LOG_LEVEL: 'error', IMAGEFLOW_INFERENCE_DEADLINE_MS: '5000' },
    onStderrLine: () => undefined, // it complains of the servers it is given below
    onMessage: (message) => { if (message['type'] === 'ready') ready.resolve(undefined); },
  });
  await ready.promise;
}, 900_000); // the first time Triton is installed
afterAll(async () => {
  await worker[Symbol.asyncDispose]();
  await triton[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const put = (name: string, description: object): void => { writeFileSync(join(folder, 'data/models', `${name}.kserve.json`), JSON.stringify(description)); };

/** Waits until the worker says that a model is ready or has failed, for that reason. */
const settled = (name: string, state: ModelInfo['state'], reason = ''): Promise<ModelInfo> =>
  until(`${name} is ${state} ${reason}`, async () => {
    using client = GrpcClient.dial(InferenceService, address);
    const model = (await listModels(client)).find((each) => each.name === name);
    return model?.state === state && (model.failure ?? '').includes(reason) && model;
  }, 60_000);

/** By the dispatcher, as the extractor asks. */
const detect = async (model: string): Promise<readonly Detection[]> => {
  const { pixels, width, height } = letterboxed(join(IMAGES, 'messi5.jpg'), 416);
  const found = Promise.withResolvers<readonly Detection[]>();
  using dispatcher = new Dispatcher({
    workers: [{ address }], deadlineMs: 20_000, clock: systemClock, logger: silentLogger(),
    listener: { onResult: (_detector, result) => { found.resolve(result.detections); }, onSkip: (_camera, reason) => { found.reject(new Error(reason)); } },
  });
  await until('the dispatcher knows the model', () => dispatcher.model(model) !== undefined);
  dispatcher.offer({
    camera: 'still', detector: 'test', model, confidence: null, faintConfidence: null, frame: { stream: 'still', epoch: 1, rtpTs: 2, captureNtp: null, seq: 3 },
    capturedAt: 4, sourceWidth: width, sourceHeight: height, pixels: { bytes: pixels, [Symbol.dispose]: () => undefined },
  });
  return await found.promise; // the dispatcher lives until then
};

test.each(Object.entries(FILES))('[INF-4] %s behind Triton finds what it finds in ONNX Runtime here', async (name, path) => {
  const optionsOf = (bytes: Buffer, at: string): LoadOptions => ({ name, path: at, bytes, digest: hash('sha256', bytes), threads: 2, bundledFolder: join(ROOT, 'models'), clock: systemClock });
  using local = await OnnxModel.load(optionsOf(readFileSync(path), path));
  const description = Buffer.from(JSON.stringify({ urls: [triton.url], model: name }));
  using far = await KserveModel.load({ ...optionsOf(description, join(folder, 'x.kserve.json')), deadlineMs: 5000, logger: silentLogger() });
  const { inputWidth, inputHeight, inputLayout, labels } = local.info;
  expect(far.info).toMatchObject({ backend: 'kserve', inputWidth, inputHeight, inputLayout, labels });
  let found = 0;
  for (const file of PICTURES) {
    const { pixels, width, height } = letterboxed(join(IMAGES, file), 416);
    const [here, there] = await Promise.all([local, far].map(async (model) => (await model.infer({ pixels, sourceWidth: width, sourceHeight: height, confidence: 0.35 })).detections));
    const near = (value: number): unknown => expect.closeTo(value, 2);
    expect(there).toEqual(here?.map(({ bbox: { x, y, width: w, height: h }, confidence, ...rest }) => ({ ...rest, confidence: expect.closeTo(confidence, 4), bbox: { x: near(x), y: near(y), width: near(w), height: near(h) } })));
    found += here?.length ?? 0;
  }
  expect(found).toBeGreaterThan(PICTURES.length);
});

test('[INF-4] Triton is killed: its model fails with the reason and the others go on; it is started: the model is ready again, the same', async () => {
  put('far', { urls: [NO_SERVER, triton.url], model: BUNDLED });
  const { digest, backend } = await settled('far', 'ready');
  expect(backend).toBe('kserve');
  const seen = await detect('far');
  expect(seen.length).toBeGreaterThan(0);
  await triton.kill();
  const { failure } = await settled('far', 'failed');
  expect(failure).toContain(`${NO_SERVER}: `);
  expect(failure).toContain(`${triton.url}: `);
  expect((await detect(BUNDLED)).length).toBe(seen.length);
  await triton.start();
  expect((await settled('far', 'ready')).digest).toBe(digest);
  expect(await detect('far')).toEqual(seen);
});

test('[INF-4] Triton hangs: its model fails with the reason, the others go on, and it is ready when Triton goes on', async () => {
  put('hung', { urls: [triton.url], model: BUNDLED });
  await settled('hung', 'ready');
  triton.pause();
  await settled('hung', 'failed', `${triton.url}: no answer within`);
  expect((await detect(BUNDLED)).length).toBeGreaterThan(0);
  triton.resume();
  await settled('hung', 'ready');
  expect((await detect('hung')).length).toBeGreaterThan(0);
});

test.each([
  ['unknown', { model: 'not-there' }, 'not-there'],
  ['version', { model: BUNDLED, version: '7' }, '7'],
  ['no-number', { model: BUNDLED, version: 'latest' }, 'latest'],
  ['labels', { model: BUNDLED, layout: 'classification' }, 'has no known layout; known are classification'],
  ['typo', { model: BUNDLED, timeout: 5 }, 'timeout'],
])('[INF-4] what Triton does not serve so fails with the reason: %s', async (name, description, reason) => {
  put(name, { urls: [triton.url], ...description });
  expect((await settled(name, 'failed')).failure).toContain(reason);
});
