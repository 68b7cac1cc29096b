import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import type { Detection } from '../../core/detection.ts';
import { Dispatcher } from '../../inference/dispatcher.ts';
import { ChildProcess } from '../../platform/child-process.ts';
import { GrpcClient } from '../../platform/grpc/client.ts';
import { silentLogger } from '../../platform/logging.ts';
import { InferenceService, ListModelsRequestSchema, ModelState } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import type { Model } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import { modelOfZeros, modelWithExternalData, tinyModel } from '../support/onnx-writer.ts';
import type { TinyModel } from '../support/onnx-writer.ts';

const ROOT = join(import.meta.dirname, '..', '..');
let folder: string;
let address: string;
let worker: ChildProcess;
let exits = 0;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'if-lay-'));
  address = `unix:${join(folder, 'w.sock')}`;
  mkdirSync(join(folder, 'data/models'), { recursive: true });
  const ready = Promise.withResolvers<undefined>();
  worker = ChildProcess.spawn({
    title: 'imageflow-edge worker',
    script: join(ROOT, 'processes/worker.ts'),
    env: { IMAGEFLOW_DATA_DIR: join(folder, 'data'), IMAGEFLOW_WORKER_LISTEN: address, IMAGEFLOW_LOG_LEVEL: 'error' },
    onStderrLine: () => undefined, // it complains of the models it is given below
    onMessage: (message) => { if (message['type'] === 'ready') ready.resolve(undefined); },
  });
  void worker.exited.then(() => { exits++; });
  await ready.promise;
});
afterAll(async () => {
  await worker[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const put = (file: string, content: Buffer | string): void => { writeFileSync(join(folder, 'data/models', file), content); };

/** Waits until the worker, which looks at its folder every 2 s, says that a model is ready or has failed. */
const settled = async (name: string, state: ModelState): Promise<Model> => {
  using client = GrpcClient.dial(InferenceService, address);
  const deadline = performance.now() + 60_000;
  for (;;) {
    const { models } = await client.call.listModels(create(ListModelsRequestSchema), { deadlineMs: 20_000 });
    const model = models.find((m) => m.name === name);
    if (model?.state === state) return model;
    if (performance.now() > deadline) throw new Error(`model ${name} is ${String(model?.state)}: ${model?.failure ?? 'not there'}`);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
};

/** What a model says of a picture of one grey, 4 times the input's size and of its aspect; by the dispatcher, as the extractor asks. */
const detect = async (model: Model, grey: number): Promise<readonly Detection[]> => {
  const { inputWidth, inputHeight } = model;
  const pixels = new Uint8Array(3 * inputWidth * inputHeight).fill(grey);
  const found = Promise.withResolvers<readonly Detection[]>();
  using dispatcher = new Dispatcher({
    workers: [{ address }], deadlineMs: 5000, clock: systemClock, logger: silentLogger(),
    listener: { onResult: (_detector, result) => { found.resolve(result.detections); }, onSkip: (_camera, reason) => { found.reject(new Error(reason)); } },
  });
  await expect.poll(() => dispatcher.model(model.name) !== undefined, { timeout: 10_000 }).toBe(true);
  dispatcher.offer({
    camera: 'still', detector: 'test', model: model.name, confidence: null, faintConfidence: null, frame: { stream: 'still', epoch: 1, rtpTs: 2, captureNtp: null, seq: 3 },
    capturedAt: 4, sourceWidth: 4 * inputWidth, sourceHeight: 4 * inputHeight, pixels: { bytes: pixels, [Symbol.dispose]: () => undefined },
  });
  return await found.promise; // the dispatcher lives until then
};

const DETECTION = { className: 'cat', classId: 1, trackId: null };
const BOX = { x: 40, y: 48, width: 32, height: 16 };
const NAMES = { names: "{0: 'dog', 1: 'cat'}" };
const F32: TinyModel['input'] = { type: 'float32', dims: [1, 3, 32, 32] };

/** [1, 6, 21] of a 32 × 32 input: anchor 5 is a cat whose score is the picture's grey; all others are nothing. */
const yoloRows = (values: readonly number[]): number[] => values.flatMap((value) => Array.from({ length: 21 }, (_, anchor) => (anchor === 5 ? value : 0)));

interface Layout {
  readonly name: string;
  readonly model: TinyModel;
  readonly sidecar?: object;
  readonly labels?: readonly string[];
  readonly size?: readonly [width: number, height: number];
  /** By a picture of grey 204 = 0.8, that of black is none. */
  readonly golden: readonly Detection[];
}

const score = (value: number): unknown => expect.closeTo(value, 3);
const cat = (confidence = 0.8): Detection => ({ ...DETECTION, bbox: BOX, confidence: score(confidence) as number });
const rows = [10, 12, 18, 16, 0, 1, 0, 0, 0, 0, 0, 0];
const LAYOUTS: readonly Layout[] = [
  {
    name: 'yolo', golden: [cat()],
    model: { input: F32, metadata: NAMES, outputs: [{ name: 'output0', type: 'float32', dims: [1, 6, 21], base: yoloRows([14, 14, 8, 4, 0, 0]), gain: yoloRows([0, 0, 0, 0, 0, 1]) }] },
  },
  {
    name: 'yolo-half-floats', golden: [cat()],
    model: { input: F32, metadata: NAMES, outputs: [{ name: 'output0', type: 'float16', dims: [1, 6, 21], base: yoloRows([14, 14, 8, 4, 0, 0]), gain: yoloRows([0, 0, 0, 0, 0, 1]) }] },
  },
  {
    name: 'all-half-floats', golden: [cat()],
    model: { input: { type: 'float16', dims: [1, 3, 32, 32] }, metadata: NAMES, outputs: [{ name: 'output0', type: 'float16', dims: [1, 6, 21], base: yoloRows([14, 14, 8, 4, 0, 0]), gain: yoloRows([0, 0, 0, 0, 0, 1]) }] },
  },
  {
    name: 'end-to-end', golden: [cat()],
    model: { input: F32, metadata: { ...NAMES, task: 'detect', stride: '32', imgsz: '[32, 32]' }, outputs: [{ name: 'output0', type: 'float32', dims: [1, 2, 6], base: rows, gain: rows.map((_, i) => (i === 4 ? 1 : 0)) }] },
  },
  {
    name: 'end-to-end-any-size', golden: [cat()], size: [96, 64], // 80 is no multiple of 32
    model: { input: { type: 'float32', dims: ['batch', 3, 'height', 'width'] }, metadata: { ...NAMES, stride: '32', imgsz: '[64, 80]' }, outputs: [{ name: 'output0', type: 'float32', dims: [1, 2, 6], base: rows, gain: rows.map((_, i) => (i === 4 ? 1 : 0)) }] },
  },
  {
    name: 'no-size-named', golden: [cat()], size: [640, 640],
    model: { input: { type: 'uint8', dims: [1, 'h', 'w', 3] }, metadata: NAMES, outputs: [{ name: 'output0', type: 'float32', dims: [1, 2, 6], base: rows, gain: rows.map((_, i) => (i === 4 ? 1 / 255 : 0)) }] },
  },
  {
    name: 'tensorflow-ssd', golden: [cat()], labels: ['dog', 'cat'],
    model: {
      input: { type: 'uint8', dims: [1, 32, 32, 3] },
      outputs: [
        { name: 'detection_boxes', type: 'float32', dims: [1, 2, 4], base: [12 / 32, 10 / 32, 16 / 32, 18 / 32, 0, 0, 1, 1] },
        { name: 'detection_classes', type: 'float32', dims: [1, 2], base: [2, 1] },
        // The mean of bytes: 0..255.
        { name: 'detection_scores', type: 'float32', dims: [1, 2], base: [0, 0.9], gain: [1 / 255, 0] },
        { name: 'num_detections', type: 'float32', dims: [1], base: [1] },
        { name: 'raw_detection_boxes', type: 'float32', dims: [1, 1, 4], base: [0, 0, 1, 1] },
      ],
    },
  },
  {
    name: 'torchvision-ssd', golden: [cat()], sidecar: { boxes: 'xyxy_pixels', confidence: 0.5 }, labels: ['dog', 'cat'],
    model: {
      input: F32,
      outputs: [
        { name: 'boxes', type: 'float32', dims: [2, 4], base: [10, 12, 18, 16, 0, 0, 32, 32] },
        { name: 'scores', type: 'float32', dims: [2], base: [0, 0.4], gain: [1, 0] },
        { name: 'labels', type: 'int64', dims: [2], base: [1, 1] },
      ],
    },
  },
  {
    // Logits −1 and the normalised grey (0.8 − 0.5) / 0.1 = 3.
    name: 'classifier', sidecar: { normalise: { mean: [0.5, 0.5, 0.5], std: [0.1, 0.1, 0.1] }, confidence: 0.98 },
    golden: [{ ...DETECTION, confidence: score(1 / (1 + Math.exp(-4))) as number, bbox: { x: 0, y: 0, width: 896, height: 896 } }], size: [224, 224],
    model: { input: { type: 'float32', dims: ['N', 3, 'H', 'W'] }, metadata: { ...NAMES, task: 'classify' }, outputs: [{ name: 'output0', type: 'float32', dims: [1, 2], base: [-1, 0], gain: [0, 1] }] },
  },
];

test('[INF-2][INF-3] a file of every layout, put into the folder of a running worker, is a model whose detections equal the golden ones', async () => {
  for (const { name, model, sidecar, labels } of LAYOUTS) {
    if (sidecar) put(`${name}.json`, JSON.stringify(sidecar));
    if (labels) put(`${name}.labels.json`, JSON.stringify(labels));
    put(`${name}.onnx`, tinyModel(model));
  }
  for (const { name, golden, size = [32, 32] } of LAYOUTS) {
    const model = await settled(name, ModelState.READY);
    expect([name, model.inputWidth, model.inputHeight, model.labels]).toEqual([name, ...size, ['dog', 'cat']]);
    expect(await detect(model, 204), name).toEqual(golden);
    // The classifier sees −5 against −1 in black, and says dog with .982.
    expect((await detect(model, 0)).map((d) => d.className), name).toEqual(name === 'classifier' ? ['dog'] : []);
  }
});

test('[INF-2][INF-3] broken, huge and hostile files fail with what is wrong with them and take nothing down; a sidecar written later is read', async () => {
  const good = tinyModel(LAYOUTS[0]!.model);
  const yolo = (values: number, fill: number): Buffer => tinyModel({ input: F32, outputs: [{ name: 'output0', type: 'float32', dims: [1, 6, values], base: new Array<number>(6 * values).fill(fill) }] });
  const bad: Readonly<Record<string, readonly [Buffer, string]>> = {
    text: [Buffer.from('this is no model'), ''],
    truncated: [good.subarray(0, good.length - 30), ''],
    'outside-weights': [modelWithExternalData('../../../../etc/passwd'), 'external data'],
    'absolute-weights': [modelWithExternalData('/etc/passwd'), 'external data'],
    'ten-million': [modelOfZeros([1, 5, 10_000_000]), '10000000 anchors, at most 500000'],
    'seventy-million-values': [modelOfZeros([1, 7, 10_000_000]), '70000000 values'],
    unknown: [modelOfZeros([1, 100, 85]), 'output0 float32[1,100,85] has no known layout; known are end_to_end'],
    pose: [tinyModel({ ...LAYOUTS[0]!.model, metadata: { task: 'pose' } }), 'task is "pose"'],
    'two-pictures': [tinyModel({ ...LAYOUTS[0]!.model, input: { type: 'float32', dims: [2, 3, 32, 32] } }), 'output0 float32[1,6,21] has not one part for each of 2 pictures'],
    'half-float-bytes': [tinyModel({ ...LAYOUTS[0]!.model, input: { type: 'float16', dims: [1, 32, 32, 3] } }), 'images float16[1,32,32,3] is neither'],
    'huge-input': [tinyModel({ ...LAYOUTS[0]!.model, input: { type: 'float32', dims: [1, 3, 100_000, 100_000] } }), '100000x100000'],
    'needs-sidecar': [tinyModel(LAYOUTS.find(({ name }) => name === 'torchvision-ssd')!.model), '("boxes")'],
  };
  for (const [name, [content]] of Object.entries(bad)) put(`${name}.onnx`, content);
  put('no-numbers.onnx', yolo(21, Number.NaN));
  put('bad-sidecar.onnx', good);
  put('bad-sidecar.json', '{"layout": "unheard of"}');
  for (const [name, [, why]] of Object.entries(bad)) {
    const { failure } = await settled(name, ModelState.FAILED);
    expect(failure, name).not.toBe('');
    expect(failure, name).toContain(why);
  }
  expect((await settled('bad-sidecar', ModelState.FAILED)).failure).toContain('bad-sidecar.json');
  expect(await detect(await settled('no-numbers', ModelState.READY), 204)).toEqual([]);
  put('needs-sidecar.json', '{"boxes": "xyxy_pixels"}');
  expect((await detect(await settled('needs-sidecar', ModelState.READY), 204)).map((d) => d.classId)).toContain(1);
  expect(await detect(await settled('yolo', ModelState.READY), 204)).toEqual(LAYOUTS[0]!.golden);
  expect(exits).toBe(0);
});
