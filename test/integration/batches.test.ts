import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { OnnxModel } from '../../inference/models/onnx-session.ts';
import type { BatchChoice, InferenceFrame } from '../../inference/port.ts';
import { batchedModelThatFailsOnWhite, modelOfZeros, tinyModel } from '../support/onnx-writer.ts';
import type { TinyModel } from '../support/onnx-writer.ts';

const BUNDLED = join(import.meta.dirname, '..', '..', 'models');
const MOST = 4;
const SIDE = 32;

let folder: string;
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'if-batch-')); });
afterAll(() => { rmSync(folder, { recursive: true, force: true }); });

const load = (bytes: Buffer, over: { readonly sidecar?: object; readonly labels?: readonly string[]; readonly measured?: BatchChoice; readonly batchMax?: number } = {}): Promise<OnnxModel> => {
  const { sidecar, labels, ...options } = over;
  const stem = mkdtempSync(join(folder, 'm-'));
  if (sidecar) writeFileSync(join(stem, 'm.json'), JSON.stringify(sidecar));
  if (labels) writeFileSync(join(stem, 'm.labels.json'), JSON.stringify(labels));
  return OnnxModel.load({ name: 'm', path: join(stem, 'm.onnx'), bytes, digest: '', threads: 1, bundledFolder: BUNDLED, clock: systemClock, ...options });
};

const many: TinyModel['input'] = { type: 'float32', dims: ['n', 3, SIDE, SIDE] };
const NAMES = { names: "{0: 'dog', 1: 'cat'}" };
/** Score by the picture's grey; the box moves with it. */
const rows = [2, 3, 8, 6, 0.1, 1, 0, 0, 0, 0, 0, 0];
const rowGains = [8, 8, 20, 22, 0.8, 0, 0, 0, 0, 0, 0, 0];
const anchors = (values: readonly number[]): number[] => values.flatMap((value) => Array.from({ length: 21 }, (_, anchor) => (anchor === 5 ? value : 0)));
const yolo: Pick<TinyModel['outputs'][number], 'base' | 'gain'> = { base: anchors([14, 14, 8, 4, 0, 0.1]), gain: anchors([10, 5, 3, 2, 0.9, 0.3]) };

const LAYOUTS: readonly { readonly name: string; readonly model: TinyModel; readonly sidecar?: object; readonly labels?: readonly string[] }[] = [
  { name: 'yolo', model: { batched: true, input: many, metadata: NAMES, outputs: [{ name: 'output0', type: 'float32', dims: [1, 6, 21], ...yolo }] } },
  { name: 'yolo of half floats', model: { batched: true, input: many, metadata: NAMES, outputs: [{ name: 'output0', type: 'float16', dims: [1, 6, 21], ...yolo }] } },
  { name: 'yolo from half floats', model: { batched: true, input: { type: 'float16', dims: ['n', 3, SIDE, SIDE] }, metadata: NAMES, outputs: [{ name: 'output0', type: 'float32', dims: [1, 6, 21], ...yolo }] } },
  { name: 'end-to-end', model: { batched: true, input: many, metadata: NAMES, outputs: [{ name: 'output0', type: 'float32', dims: [1, 2, 6], base: rows, gain: rowGains }] } },
  { name: 'end-to-end of bytes', model: { batched: true, input: { type: 'uint8', dims: ['n', SIDE, SIDE, 3] }, metadata: NAMES, outputs: [{ name: 'output0', type: 'float32', dims: [1, 2, 6], base: rows, gain: rowGains.map((gain) => gain / 255) }] } },
  {
    name: 'top-k of TensorFlow', labels: ['dog', 'cat'],
    model: {
      batched: true, input: { type: 'uint8', dims: ['n', SIDE, SIDE, 3] },
      outputs: [
        { name: 'detection_boxes', type: 'float32', dims: [1, 2, 4], base: [0.1, 0.2, 0.4, 0.5, 0, 0, 0.9, 0.9], gain: [0.001, 0.001, 0.001, 0.001, 0, 0, 0, 0] },
        { name: 'detection_classes', type: 'float32', dims: [1, 2], base: [2, 1] },
        { name: 'detection_scores', type: 'float32', dims: [1, 2], base: [0, 0.9], gain: [1 / 255, -1 / 300] },
        { name: 'num_detections', type: 'float32', dims: [1], base: [1.2], gain: [1 / 255] },
      ],
    },
  },
  {
    name: 'top-k with whole numbers', labels: ['dog', 'cat'], sidecar: { boxes: 'xyxy_pixels' },
    model: {
      batched: true, input: many,
      outputs: [
        { name: 'boxes', type: 'float32', dims: [1, 2, 4], base: [1, 2, 18, 16, 0, 0, 30, 30], gain: [8, 8, 8, 8, 1, 1, 1, 1] },
        { name: 'scores', type: 'float16', dims: [1, 2], base: [0, 0.4], gain: [1, 0.2] },
        { name: 'labels', type: 'int64', dims: [1, 2], base: [1, 0] },
      ],
    },
  },
  {
    name: 'classification', sidecar: { normalise: { mean: [0.5, 0.5, 0.5], std: [0.1, 0.1, 0.1] } },
    model: { batched: true, input: many, metadata: { ...NAMES, task: 'classify' }, outputs: [{ name: 'output0', type: 'float32', dims: [1, 2], base: [0.5, 0], gain: [0, 1] }] },
  },
];

/** Pictures of noise about a grey, each with another size and threshold. */
const frames = fc.array(fc.record({ grey: fc.nat(255), spread: fc.nat(60), seed: fc.integer({ min: 1, max: 2 ** 31 - 2 }), sourceWidth: fc.integer({ min: 1, max: 4000 }), sourceHeight: fc.integer({ min: 1, max: 4000 }), confidence: fc.float({ min: 0, max: 1, noNaN: true }) }), { minLength: 1, maxLength: MOST })
  .map((drawn) => drawn.map(({ grey, spread, seed, ...rest }): InferenceFrame => {
    let state = seed;
    return { ...rest, pixels: Uint8Array.from({ length: 3 * SIDE * SIDE }, () => { state = (state * 48_271) % 0x7fff_ffff; return Math.max(0, Math.min(255, grey + (state % (2 * spread + 1)) - spread)); }) };
  }));

const fixed = ({ input: { type, dims: [, ...dims] }, ...rest }: TinyModel): TinyModel => ({ ...rest, input: { type, dims: [MOST, ...dims] } });

test.each(LAYOUTS.flatMap((layout) => [{ ...layout, batch: 'of any size' }, { ...layout, name: `${layout.name}, fixed`, model: fixed(layout.model), batch: 'of four' }]))(
  '[INF-5] random pictures get in one run what each gets alone: $name', async ({ model, sidecar, labels }) => {
    const options = { ...(sidecar ? { sidecar } : {}), ...(labels ? { labels } : {}), batchMax: MOST, measured: { pictures: MOST, why: 'the test says so' } };
    using together = await load(tinyModel(model), options);
    using alone = await load(tinyModel(model), { ...options, batchMax: 1 });
    expect([together.batch?.most, together.info.batch.pictures, alone.batch, alone.info.batch]).toEqual([MOST, MOST, undefined, { pictures: 1, why: 'switched off by batch_max' }]);
    let found = 0;
    await fc.assert(fc.asyncProperty(frames, async (drawn) => {
      const outcomes = await together.batch!.infer(drawn);
      expect(outcomes).toHaveLength(drawn.length);
      for (const [at, frame] of drawn.entries()) {
        const { detections } = await alone.infer(frame);
        expect(outcomes[at]?.detections).toEqual(detections.map(({ bbox: { x, y, width, height }, confidence, ...rest }) => {
          const near = (value: number): unknown => expect.closeTo(value, 2);
          return { ...rest, confidence: expect.closeTo(confidence, 4), bbox: { x: near(x), y: near(y), width: near(width), height: near(height) } };
        }));
        found += detections.length;
      }
    }), { numRuns: 40 });
    expect(found).toBeGreaterThan(10);
  },
);

test('[INF-5] whether several pictures in one run pay is measured; where it cannot be, that is the reason', async () => {
  const { model } = LAYOUTS[0]!;
  using any = await load(tinyModel(model));
  const choice = await any.measure(8, 1000);
  expect(choice.why).toMatch(/^measured, milliseconds a picture by pictures at a time: 1: [\d.]+, 2: [\d.]+/);
  expect([1, 2, 4, 8]).toContain(choice.pictures);
  expect(await any.measure(1, 1000)).toEqual({ pictures: 1, why: 'switched off by batch_max' });
  using sidecar = await load(tinyModel(model), { sidecar: { batch_max: 1 } });
  expect(await sidecar.measure(8, 1000)).toEqual({ pictures: 1, why: 'switched off by batch_max' });
  using one = await load(tinyModel({ ...model, input: { type: 'float32', dims: [1, 3, SIDE, SIDE] } }));
  expect(await one.measure(8, 1000)).toEqual({ pictures: 1, why: 'its input is one picture' });
  using four = await load(tinyModel(fixed(model)));
  expect(await four.measure(8, 1000)).toEqual({ pictures: 4, why: 'its input is 4 pictures' });
  using mixed = await load(tinyModel({ ...model, batched: 'mixed' }));
  expect(await mixed.measure(8, 1000)).toEqual({ pictures: 1, why: 'two pictures together do not get what each gets alone' });
  const { batched: _batched, ...once } = model;
  using shared = await load(tinyModel({ ...once, outputs: [{ name: 'output0', type: 'float32', dims: [1, 6, 21], ...yolo }] }));
  expect((await shared.measure(8, 1000)).why).toBe('two pictures together fail: an output [1,6,21] has not one part for each of 2 pictures');
});

test('[INF-5] a fixed batch whose outputs have no part for each picture is refused, and so is one of too many', async () => {
  const { batched: _batched, ...once } = LAYOUTS[0]!.model;
  await expect(load(tinyModel({ ...once, input: { type: 'float32', dims: [2, 3, SIDE, SIDE] } }))).rejects.toMatchObject({ code: 'UNPROCESSABLE', message: expect.stringContaining('output0 float32[1,6,21] has not one part for each of 2 pictures') as string });
  await expect(load(tinyModel({ ...once, input: { type: 'float32', dims: [33, 3, SIDE, SIDE] } }))).rejects.toMatchObject({ code: 'UNPROCESSABLE', message: expect.stringContaining('is 33 pictures, at most 32 are taken') as string });
  await expect(load(modelOfZeros([1, 6, 21]))).resolves.toMatchObject({ info: { batch: { pictures: 1 } } });
});

test('[INF-5] a run in which one picture fails fails; without it the others get their own', async () => {
  using model = await load(batchedModelThatFailsOnWhite(), { batchMax: MOST, measured: { pictures: MOST, why: '' } });
  const frame = (grey: number): InferenceFrame => ({ pixels: new Uint8Array(3 * SIDE * SIDE).fill(grey), sourceWidth: SIDE, sourceHeight: SIDE, confidence: 0.1 });
  await expect(model.batch!.infer([frame(204), frame(255), frame(102)])).rejects.toThrow('Reshape');
  await expect(model.infer(frame(255))).rejects.toThrow('Reshape');
  expect((await model.batch!.infer([frame(204), frame(102), frame(0)])).map(({ detections }) => detections.map(({ confidence }) => confidence.toFixed(2)))).toEqual([['0.80'], ['0.40'], []]);
});
