/** The models of the Python worker of `examples/`: the server's own worker beside it says what is right. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Detection } from '../../core/detection.ts';
import { ChildProcess } from '../../platform/child-process.ts';
import { ModelState } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import { Asker, picture, settledModels } from '../support/inference-clients.ts';
import { modelOfZeros, modelWithExternalData, tinyModel } from '../support/onnx-writer.ts';
import type { TinyModel } from '../support/onnx-writer.ts';
import { PythonWorker } from '../support/python-worker.ts';
import { seededRandom } from '../support/random.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const PICTURES = ['messi5.jpg', 'basketball1.png', 'vtest-100.png', 'vtest-350.png'];
const REAL = ['inspect-320', 'nanodet-g-320.int8.u8', 'nanodet-g-416.int8.u8', 'nanodet-g-416'];

let folder: string;
let models: string;
/** Models that the Python worker alone is given. */
let bad: string;
/** The server's own. */
let own: ChildProcess;
let ownAddress: string;
let worker: PythonWorker;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'if-py-'));
  models = join(folder, 'data/models');
  mkdirSync(models, { recursive: true });
  bad = join(folder, 'bad');
  mkdirSync(bad);
  putModels();
  ownAddress = `unix:${join(folder, 'own.sock')}`;
  const ready = Promise.withResolvers<undefined>();
  own = ChildProcess.spawn({
    title: 'imageflow-edge worker',
    script: join(ROOT, 'processes/worker.ts'),
    env: { IMAGEFLOW_DATA_DIR: join(folder, 'data'), IMAGEFLOW_WORKER_LISTEN: ownAddress, IMAGEFLOW_LOG_LEVEL: 'error' },
    onMessage: (message) => { if (message['type'] === 'ready') ready.resolve(undefined); },
  });
  worker = await PythonWorker.start(['--listen', `unix:${join(folder, 'python.sock')}`, '--models', join(ROOT, 'models'), models, bad]);
  await Promise.all([ready.promise, worker.ready]);
});
afterAll(async () => {
  await worker[Symbol.asyncDispose]();
  await own[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** The Python worker says nothing of batches, nor of what ONNX Runtime runs on. */
const ONE_BY_ONE = { batch: 0, batchReason: '', mostUnanswered: 0, provider: '', providerReason: '' };

const F32: TinyModel['input'] = { type: 'float32', dims: [1, 3, 32, 32] };
const NAMES = { names: `{0: 'dog', 1: "driver's seat", 3: 'cat'}` };

/** Rows that no model should give, among such that are right: no numbers, no areas, outside the picture, ties. */
const strangeValues = (random: () => number, count: number): number[] =>
  Array.from({ length: count }, () => {
    const dice = random();
    if (dice < 0.02) return Number.NaN;
    if (dice < 0.04) return random() < 0.5 ? Infinity : -Infinity;
    return Math.round(random() * 8 + (random() < 0.1 ? -20 : 0)) * 4;
  });

/** A detector [1, 4 + classes, anchors] of random boxes whose scores are one of ten. */
const strangeYolo = (seed: number, classes: number, anchors: number): TinyModel['outputs'][number] => {
  const random = seededRandom(seed);
  const scores = Array.from({ length: classes * anchors }, () => (random() < 0.02 ? Number.NaN : Math.round(random() * 12 - 1) / 10));
  return { name: 'output0', type: 'float32', dims: [1, 4 + classes, anchors], base: [...strangeValues(random, 4 * anchors), ...scores] };
};

const strangeRows = (seed: number, boxes: number): TinyModel['outputs'][number] => {
  const random = seededRandom(seed);
  const base = Array.from({ length: boxes }, () => [...strangeValues(random, 4), random() < 0.05 ? Number.NaN : random() * 1.3 - 0.1, random() < 0.1 ? random() * 3 : Math.floor(random() * 6) - 1]).flat();
  return { name: 'output0', type: 'float32', dims: [1, boxes, 6], base, gain: base.map((_, i) => (i % 6 === 4 ? 0.1 : 0)) };
};

/** What both workers take. */
const STRANGE: Readonly<Record<string, { readonly model: TinyModel; readonly sidecar?: object; readonly labels?: readonly string[] }>> = {
  // As a float, 0.7 is a little less than 0.7.
  'strange-yolo': { model: { input: F32, metadata: NAMES, outputs: [strangeYolo(1, 4, 500)] }, sidecar: { confidence: 0.7 } },
  'strange-yolo-of-few': { model: { input: F32, metadata: { names: "{0: 'a', 1: 'b', 2: 'c'}" }, outputs: [strangeYolo(2, 3, 7)] } },
  'strange-coco': { model: { input: F32, outputs: [strangeYolo(3, 80, 900)] } },
  'strange-without-names': { model: { input: { type: 'uint8', dims: [1, 32, 64, 3] }, outputs: [strangeYolo(4, 5, 60)] }, labels: ['first', 'second'] },
  'strange-half-floats': { model: { input: F32, metadata: NAMES, outputs: [{ ...strangeYolo(5, 4, 60), type: 'float16' }] } },
  'strange-rows': { model: { input: { type: 'float32', dims: ['batch', 3, 'height', 'width'] }, metadata: { ...NAMES, task: 'detect', stride: '32', imgsz: '[64, 80]' }, outputs: [strangeRows(6, 400)] } },
  'strange-rows-without-names': { model: { input: { type: 'uint8', dims: [1, 'h', 'w', 3] }, outputs: [strangeRows(7, 40)] }, sidecar: { size: [32, 96], layout: 'end_to_end' } },
  normalised: {
    model: { input: F32, metadata: NAMES, outputs: [{ name: 'output0', type: 'float32', dims: [1, 2, 6], base: [10, 12, 18, 16, 0.5, 1, 2, 2, 9, 9, 0.5, 3], gain: [0, 0, 0, 0, 0.2, 0, 0, 0, 0, 0, 0.1, 0] }] },
    sidecar: { normalise: 'imagenet' },
  },
};

/** What it cannot use, with a part of the reason. */
const REFUSED: Readonly<Record<string, readonly [content: Buffer, why: string]>> = {
  text: [Buffer.from('this is no model'), 'parsing failed'],
  'outside-weights': [modelWithExternalData('/etc/passwd'), 'external data'],
  'ten-million': [modelOfZeros([1, 5, 10_000_000]), 'no known layout'],
  pose: [tinyModel({ input: F32, metadata: { task: 'pose' }, outputs: [strangeYolo(1, 4, 500)] }), 'task is "pose"'],
  'two-pictures': [tinyModel({ input: { type: 'float32', dims: [2, 3, 32, 32] }, outputs: [strangeRows(8, 5)] }), 'not one picture'],
  'huge-input': [tinyModel({ input: { type: 'float32', dims: [1, 3, 100_000, 100_000] }, outputs: [strangeRows(8, 5)] }), '100000x100000'],
  'bad-sidecar': [tinyModel({ input: F32, outputs: [strangeRows(8, 5)] }), 'bad-sidecar.json'],
  classifier: [tinyModel({ input: F32, outputs: [{ name: 'output0', type: 'float32', dims: [1, 4], base: [0, 1, 2, 3] }] }), 'no known layout'],
};

const putModels = (): void => {
  copyFileSync(join(ROOT, 'test/fixtures/models/nanodet-g-416.onnx'), join(models, 'nanodet-g-416.onnx'));
  for (const [name, { model, sidecar, labels }] of Object.entries(STRANGE)) {
    writeFileSync(join(models, `${name}.onnx`), tinyModel(model));
    if (sidecar) writeFileSync(join(models, `${name}.json`), JSON.stringify(sidecar));
    if (labels) writeFileSync(join(models, `${name}.labels.json`), JSON.stringify(labels));
  }
  for (const [name, [content]] of Object.entries(REFUSED)) writeFileSync(join(bad, `${name}.onnx`), content);
  writeFileSync(join(bad, 'bad-sidecar.json'), '{"layout": "unheard of"}');
};

test('[INF-2][INF-3] the Python worker describes its models as the server\'s own does, and says why it cannot use one', async () => {
  const [ours, theirs] = [await settledModels(ownAddress), await settledModels(worker.address)];
  expect([...ours.keys()].toSorted()).toEqual([...REAL, ...Object.keys(STRANGE)].toSorted());
  expect([...theirs.keys()].toSorted()).toEqual([...ours.keys(), ...Object.keys(REFUSED)].toSorted());
  for (const name of ours.keys()) {
    expect(theirs.get(name), name).toEqual({ ...ours.get(name), ...ONE_BY_ONE });
    expect(theirs.get(name)?.state, name).toBe(ModelState.READY);
  }
  for (const [name, [, why]] of Object.entries(REFUSED)) {
    expect(theirs.get(name)?.state, name).toBe(ModelState.FAILED);
    expect(theirs.get(name)?.failure, name).toContain(why);
  }
});

/**
 * Both run the same version of ONNX Runtime on the same cores, and what comes out is the same to the bit where it was tried. Two builds of
 * it may add floats in another order, which changes a score by 1e-6 and a box by 1e-3 pixels; and the client rounds to 1e-4 and 0.01.
 */
const SCORE = 0.001;
const PIXELS = 0.05;

const differences = (one: readonly Detection[], other: readonly Detection[]): { readonly score: number; readonly pixels: number } => ({
  score: Math.max(0, ...one.map((d, i) => Math.abs(d.confidence - (other[i]?.confidence ?? Infinity)))),
  pixels: Math.max(0, ...one.flatMap(({ bbox }, i) => (['x', 'y', 'width', 'height'] as const).map((side) => Math.abs(bbox[side] - (other[i]?.bbox[side] ?? Infinity))))),
});

test('[INF-2] the Python worker detects what the server\'s own does: every model, every picture, also of values that no model should give', async () => {
  using ours = new Asker(ownAddress);
  using theirs = new Asker(worker.address);
  const known = await settledModels(worker.address);
  const largest = { score: 0, pixels: 0 };
  const found = new Map<string, number>();
  for (const model of [...REAL, ...Object.keys(STRANGE)]) {
    const input = known.get(model)!;
    const stills = (REAL.includes(model) ? PICTURES : PICTURES.slice(1, 3)).map((file) => ({ file, ...picture(file, input) }));
    // As of a picture whose height in the input is a half more than an even number of pixels.
    stills.push({ ...stills[0]!, file: 'a picture of half a pixel', width: 2 * input.inputWidth, height: input.inputHeight + 65 });
    for (const { file, ...still } of stills) {
      for (const confidence of [null, 0.1, 0.6]) {
        const where = `${model}, ${file}, ${String(confidence)}`;
        const [right, seen] = await Promise.all([ours.detect(model, still, confidence), theirs.detect(model, still, confidence)]);
        expect(seen.modelDigest, where).toBe(right.modelDigest);
        expect(seen.detections.map(({ classId, className }) => [classId, className]), where).toEqual(right.detections.map(({ classId, className }) => [classId, className]));
        const { score, pixels } = differences(right.detections, seen.detections);
        expect(score, where).toBeLessThanOrEqual(SCORE);
        expect(pixels, where).toBeLessThanOrEqual(PIXELS);
        largest.score = Math.max(largest.score, score);
        largest.pixels = Math.max(largest.pixels, pixels);
        found.set(model, (found.get(model) ?? 0) + seen.detections.length);
      }
    }
  }
  console.info('the Python worker beside the server\'s own:', JSON.stringify({ largest, found: Object.fromEntries(found) }));
  expect([...found].filter(([, count]) => count === 0)).toEqual([]);
});
