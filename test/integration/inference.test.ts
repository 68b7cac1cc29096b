import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { Dispatcher } from '../../inference/dispatcher.ts';
import type { DetectionResult } from '../../core/detection.ts';
import { ChildProcess } from '../../platform/child-process.ts';
import { GrpcClient } from '../../platform/grpc/client.ts';
import { HealthService, ServingStatus } from '../../platform/grpc/health.ts';
import { silentLogger } from '../../platform/logging.ts';
import { HealthCheckRequestSchema } from '../../proto/gen/grpc/health/v1/health_pb.ts';
import { DetectRequestSchema, InferenceService, ListModelsRequestSchema, ModelState, RefusalReason } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import type { DetectResponse, Model } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import { letterboxed } from '../support/still-picture.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const IMAGES = join(ROOT, 'test/fixtures/images');

interface Golden { readonly label: string; readonly classId: number; readonly score: number; readonly x: number; readonly y: number; readonly width: number; readonly height: number }
const golden = (JSON.parse(readFileSync(join(IMAGES, 'golden.json'), 'utf8')) as { readonly detections: Readonly<Record<string, Readonly<Record<string, readonly Golden[]>>>> }).detections['nanodet-g-416.onnx']!;

let folder: string;
let address: string;
let worker: ChildProcess;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'if-inf-'));
  address = `unix:${join(folder, 'w.sock')}`;
  mkdirSync(join(folder, 'data/models'), { recursive: true });
  let ready = (): void => undefined;
  const isReady = new Promise<void>((resolve) => { ready = resolve; });
  worker = ChildProcess.spawn({
    title: 'imageflow-edge worker',
    script: join(ROOT, 'processes/worker.ts'),
    env: { IMAGEFLOW_DATA_DIR: join(folder, 'data'), IMAGEFLOW_WORKER_LISTEN: address, IMAGEFLOW_LOG_LEVEL: 'error', IMAGEFLOW_INFERENCE_MAX_MODEL_BYTES: '9000000' },
    onStderrLine: () => undefined, // it complains of the models it is given below
    onMessage: (message) => { if (message['type'] === 'ready') ready(); },
  });
  await isReady;
});
afterAll(async () => {
  await worker[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const serving = async (at = address): Promise<unknown> => {
  using health = GrpcClient.dial(HealthService, at);
  return (await health.call.check(create(HealthCheckRequestSchema, { service: InferenceService.typeName }), { deadlineMs: 20_000 })).status;
};

const models = async (): Promise<readonly Model[]> => {
  using client = GrpcClient.dial(InferenceService, address);
  return (await client.call.listModels(create(ListModelsRequestSchema), { deadlineMs: 20_000 })).models;
};

/** Waits until the worker says what `condition` wants of a model; it looks at its folder every 2 s. */
const modelWhen = async (name: string, condition: (model: Model | undefined) => boolean): Promise<Model | undefined> => {
  const deadline = performance.now() + 15_000;
  for (;;) {
    const model = (await models()).find((m) => m.name === name);
    if (condition(model)) return model;
    if (performance.now() > deadline) throw new Error(`model ${name} is ${JSON.stringify(model?.state)} ${model?.failure ?? ''}`);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
};

/** Asks by the dispatcher, as the extractor does. */
const detect = async (model: string, file: string, confidence: number | null, side = 416): Promise<DetectionResult> => {
  const { pixels, width, height } = letterboxed(join(IMAGES, file), side);
  return new Promise<DetectionResult>((resolve, reject) => {
    const dispatcher = new Dispatcher({
      workers: [{ address }], deadlineMs: 5000, clock: systemClock, logger: silentLogger(),
      listener: { onResult: (_detector, result) => { dispatcher[Symbol.dispose](); resolve(result); }, onSkip: (_camera, reason) => { dispatcher[Symbol.dispose](); reject(new Error(reason)); } },
    });
    const poll = setInterval(() => {
      if (!dispatcher.model(model)) return;
      clearInterval(poll);
      dispatcher.offer({
        camera: 'still', detector: 'test', model, confidence, faintConfidence: null, frame: { stream: 'still', epoch: 1, rtpTs: 2, captureNtp: null, seq: 3 },
        capturedAt: 4, sourceWidth: width, sourceHeight: height, pixels: { bytes: pixels, [Symbol.dispose]: () => undefined },
      });
    }, 20);
  });
};

type Rect = Pick<Golden, 'x' | 'y' | 'width' | 'height'>;
const iou = (a: Rect, b: Rect): number => {
  const w = Math.max(0, Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x));
  const h = Math.max(0, Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y));
  return (w * h) / (a.width * a.height + b.width * b.height - w * h);
};

test('[INF-1] the worker is SERVING once its default model is warm, and not without it', async () => {
  expect(await serving()).toBe(ServingStatus.SERVING);
  const other = `unix:${join(folder, 'other.sock')}`;
  await using _cold = ChildProcess.spawn({
    title: 'imageflow-edge worker',
    script: join(ROOT, 'processes/worker.ts'),
    env: { IMAGEFLOW_DATA_DIR: join(folder, 'other'), IMAGEFLOW_WORKER_LISTEN: other, IMAGEFLOW_INFERENCE_DEFAULT_MODEL: 'not-there' },
    onStderrLine: () => undefined,
  });
  using client = GrpcClient.dial(InferenceService, other);
  await client.ready(20_000);
  expect(await serving(other)).toBe(ServingStatus.NOT_SERVING);
});

test('[D-17] a worker on host:port answers only who shows the token', async () => {
  const token = 'a token of the machines';
  const listening = Promise.withResolvers<string>();
  await using _worker = ChildProcess.spawn({
    title: 'imageflow-edge worker',
    script: join(ROOT, 'processes/worker.ts'),
    env: { IMAGEFLOW_DATA_DIR: join(folder, 'tcp'), IMAGEFLOW_WORKER_LISTEN: '127.0.0.1:0', IMAGEFLOW_CONTROL_INTERNAL_TOKEN: token, IMAGEFLOW_INFERENCE_DEFAULT_MODEL: 'not-there' },
    onStderrLine: () => undefined,
    onMessage: (message) => { if (message['type'] === 'listening') listening.resolve(String(message['listen'])); },
  });
  const at = await listening.promise;
  for (const wrong of [{}, { token: 'another token altogether' }]) {
    using client = GrpcClient.dial(InferenceService, at, wrong);
    await expect(client.call.listModels(create(ListModelsRequestSchema), { deadlineMs: 20_000 })).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    using health = GrpcClient.dial(HealthService, at, wrong);
    await expect(health.call.check(create(HealthCheckRequestSchema), { deadlineMs: 20_000 })).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  }
  const dispatcherConnects = async (shown: string | undefined): Promise<boolean> => {
    using dispatcher = new Dispatcher({ workers: [{ address: at, token: shown }], deadlineMs: 5000, clock: systemClock, logger: silentLogger(), listener: { onResult: () => undefined, onSkip: () => undefined } });
    for (let i = 0; i < 40 && !dispatcher.connected; i++) await new Promise((resolve) => { setTimeout(resolve, 50); });
    return dispatcher.connected;
  };
  await expect.poll(async () => {
    using client = GrpcClient.dial(InferenceService, at, { token });
    return (await client.call.listModels(create(ListModelsRequestSchema), { deadlineMs: 20_000 })).models.length;
  }, { timeout: 20_000 }).toBeGreaterThan(0);
  expect(await dispatcherConnects(token)).toBe(true);
  expect(await dispatcherConnects(undefined)).toBe(false);
});

test('[INF-2][INF-3] a model put into the folder is found, and the float model agrees with the golden detections: IoU ≥ 0.9, score ± 0.02', async () => {
  copyFileSync(join(ROOT, 'test/fixtures/models/nanodet-g-416.onnx'), join(folder, 'data/models/nanodet-g-416.onnx'));
  const model = await modelWhen('nanodet-g-416', (m) => m?.state === ModelState.READY);
  expect(model).toMatchObject({ inputWidth: 416, inputHeight: 416 });
  expect(model?.labels[32]).toBe('sports ball');
  expect(model?.digest).toMatch(/^[0-9a-f]{64}$/);
  for (const file of Object.keys(golden)) {
    const { detections, modelDigest, frame, width } = await detect('nanodet-g-416', file, 0.33);
    expect(modelDigest).toBe(model?.digest);
    expect(frame).toEqual({ stream: 'still', epoch: 1, rtpTs: 2, captureNtp: null, seq: 3 });
    expect(width).toBeGreaterThan(100);
    for (const wanted of golden[file]!) {
      const best = detections.filter((d) => d.classId === wanted.classId).toSorted((a, b) => iou(b.bbox, wanted) - iou(a.bbox, wanted))[0];
      expect(best, `${file}: ${JSON.stringify(wanted)}`).toBeDefined();
      expect(iou(best!.bbox, wanted), `${file}: ${JSON.stringify(wanted)} ${JSON.stringify(best)}`).toBeGreaterThanOrEqual(0.9);
      expect(Math.abs(best!.confidence - wanted.score), `${file}: ${JSON.stringify(wanted)} ${JSON.stringify(best)}`).toBeLessThanOrEqual(0.02);
      expect(best!.className).toBe(wanted.label);
    }
    expect(detections.filter((d) => d.confidence >= 0.37).length).toBeLessThanOrEqual(golden[file]!.length);
  }
});

test('[INF-2] the bundled int8 model finds every golden box of score ≥ 0.5: IoU ≥ 0.7, score ± 0.08', async () => {
  for (const file of Object.keys(golden)) {
    const { detections } = await detect('nanodet-g-416.int8.u8', file, null);
    for (const wanted of golden[file]!.filter((g) => g.score >= 0.5)) {
      const best = detections.filter((d) => d.classId === wanted.classId).toSorted((a, b) => iou(b.bbox, wanted) - iou(a.bbox, wanted))[0];
      expect(iou(best!.bbox, wanted), `${file}: ${JSON.stringify(wanted)} ${JSON.stringify(best)}`).toBeGreaterThanOrEqual(0.7);
      expect(Math.abs(best!.confidence - wanted.score), `${file}: ${JSON.stringify(wanted)} ${JSON.stringify(best)}`).toBeLessThanOrEqual(0.08);
    }
  }
});

test('[INF-2][EXT-3] the bundled lighter model has the classes of the default one, and finds what is large and clear as it does', async () => {
  const [own, lighter] = await Promise.all(['nanodet-g-416.int8.u8', 'nanodet-g-320.int8.u8'].map((name) => modelWhen(name, (m) => m?.state === ModelState.READY)));
  expect(lighter?.labels).toEqual(own?.labels);
  expect([lighter?.inputWidth, lighter?.inputHeight]).toEqual([320, 320]);
  for (const file of Object.keys(golden)) {
    const { detections } = await detect('nanodet-g-320.int8.u8', file, null, 320);
    for (const wanted of golden[file]!.filter((g) => g.score >= 0.6 && g.height >= 60)) {
      const best = detections.filter((d) => d.classId === wanted.classId).toSorted((a, b) => iou(b.bbox, wanted) - iou(a.bbox, wanted))[0];
      expect(best && iou(best.bbox, wanted), `${file}: ${JSON.stringify(wanted)} ${JSON.stringify(best)}`).toBeGreaterThanOrEqual(0.7);
    }
  }
});

test('[INF-3] broken and oversized model files fail with their reason, take nothing down, and go when they are deleted', async () => {
  const put = (name: string, bytes: Buffer): void => { writeFileSync(join(folder, 'data/models', name), bytes); };
  const good = readFileSync(join(ROOT, 'models/inspect-320.onnx'));
  put('junk.onnx', Buffer.from('this is no model'));
  put('cut.onnx', good.subarray(0, 200_000));
  put('huge.onnx', Buffer.alloc(9_000_001));
  for (const name of ['junk', 'cut', 'huge']) {
    const model = await modelWhen(name, (m) => m?.state === ModelState.FAILED);
    expect(`${name}: ${model?.failure ?? ''}`).not.toBe(`${name}: `);
  }
  expect((await models()).find((m) => m.name === 'huge')?.failure).toContain('max_model_bytes');
  expect((await detect('nanodet-g-416.int8.u8', 'messi5.jpg', null)).detections.length).toBeGreaterThan(0);
  // The file is replaced by a good one.
  put('junk.onnx', good);
  expect((await modelWhen('junk', (m) => m?.state === ModelState.READY))?.labels).toHaveLength(3);
  rmSync(join(folder, 'data/models/junk.onnx'));
  await modelWhen('junk', (m) => m === undefined);
});

test('[INF-1] a foreign or malformed request is refused with its reason and returns its credit', async () => {
  using client = GrpcClient.dial(InferenceService, address);
  const stream = client.call.detect();
  stream.on('error', () => undefined);
  const answers = stream.iterator() as AsyncIterableIterator<DetectResponse>;
  const next = async (): Promise<DetectResponse['message']> => {
    const { value } = await answers.next() as IteratorYieldResult<DetectResponse>;
    return value.message;
  };
  expect(await next()).toMatchObject({ case: 'grant', value: { credits: 2 } });
  const pixels = new Uint8Array(416 * 416 * 3);
  const good = { model: 'nanodet-g-416.int8.u8', deadlineMs: 10_000, pixels, sourceWidth: 640, sourceHeight: 480 };
  const ask = (requestId: bigint, over: object = {}): void => { stream.write(create(DetectRequestSchema, { requestId, ...good, ...over })); };
  const refused = (reason: RefusalReason): object => ({ case: 'refusal', value: { reason } });
  ask(1n, { model: 'none' });
  expect(await next()).toMatchObject(refused(RefusalReason.UNKNOWN_MODEL));
  ask(2n, { pixels: pixels.subarray(1) });
  expect(await next()).toMatchObject(refused(RefusalReason.BAD_REQUEST));
  ask(3n, { confidence: Number.NaN });
  expect(await next()).toMatchObject(refused(RefusalReason.BAD_REQUEST));
  ask(4n, { model: 'cut' });
  expect(await next()).toMatchObject(refused(RefusalReason.MODEL_NOT_READY));
  ask(5n);
  expect(await next()).toMatchObject({ case: 'outcome', value: { requestId: 5n } });
  stream.end();
  expect((await answers.next()).done).toBe(true);
});
