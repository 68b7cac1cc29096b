/** A model on a provider that fails while pictures come; the provider is ONNX Runtime's CPU under another name, which fails when it is told to. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as Ort from 'onnxruntime-node';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { OnnxModel } from '../../inference/models/onnx-session.ts';
import type { InferenceFrame } from '../../inference/port.ts';
import { batchedModelThatFailsOnWhite } from '../support/onnx-writer.ts';

const device = vi.hoisted(() => ({ failure: null as string | null, runs: 0, released: 0 }));

vi.mock('onnxruntime-node', async (original) => {
  const ort = await original<typeof Ort>();
  const create = async (bytes: Uint8Array, options: Ort.InferenceSession.SessionOptions): Promise<unknown> => {
    const cpu = await ort.InferenceSession.create(bytes, { ...options, executionProviders: ['cpu'] });
    if (options.executionProviders?.[0] !== 'fake') return cpu;
    return {
      inputMetadata: cpu.inputMetadata, outputMetadata: cpu.outputMetadata,
      run: async (...given: Parameters<typeof cpu.run>) => {
        device.runs++;
        if (device.failure !== null) throw new Error(device.failure);
        return await cpu.run(...given);
      },
      release: async () => { device.released++; await cpu.release(); },
    };
  };
  return { ...ort, InferenceSession: { create }, listSupportedBackends: () => [{ name: 'cpu', bundled: true }, { name: 'fake', bundled: true }] };
});

let folder: string;
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'if-fall-')); });
afterAll(() => { rmSync(folder, { recursive: true, force: true }); });
beforeEach(() => { Object.assign(device, { failure: null, runs: 0, released: 0 }); });

const FAKE = { name: 'fake', why: 'quicker' };
const load = (): Promise<OnnxModel> => OnnxModel.load({
  name: 'm', path: join(folder, 'm.onnx'), bytes: batchedModelThatFailsOnWhite(), digest: '', threads: 1, bundledFolder: folder, clock: systemClock, batchMax: 4, measured: { pictures: 4, why: '' }, provider: FAKE,
});
const frame = (grey: number): InferenceFrame => ({ pixels: new Uint8Array(3 * 32 * 32).fill(grey), sourceWidth: 32, sourceHeight: 32, confidence: 0.1 });
const scores = async (model: OnnxModel, ...greys: readonly number[]): Promise<readonly (string | undefined)[]> => {
  const outcomes = await model.batch!.infer(greys.map(frame));
  return outcomes.map(({ detections }) => detections[0]?.confidence.toFixed(2));
};

test('[INF-2] when a provider fails its pictures are answered by the CPU all the same, and so are all that follow; the model says why', async () => {
  using model = await load();
  expect([await scores(model, 204, 102), model.info.provider]).toEqual([['0.80', '0.40'], FAKE]);
  device.failure = 'device lost';
  // Tensors of others prove nothing.
  await expect(model.tensors.run({ images: { type: 'float32', dims: [1, 3, 32, 32], data: new Float32Array(3 * 32 * 32) } }, ['output0'])).rejects.toThrow('device lost');
  expect(model.info.provider).toEqual(FAKE);
  expect(await scores(model, 102, 204)).toEqual(['0.40', '0.80']);
  expect(await model.fellBack).toEqual({ name: 'cpu', why: 'fake failed: device lost' });
  expect([model.info.provider, device.released]).toEqual([{ name: 'cpu', why: 'fake failed: device lost' }, 1]);
  // How many to run together was measured on what is no more.
  expect([model.batch, model.info.batch]).toEqual([undefined, { pictures: 1, why: 'measured on what failed' }]);
  const { runs } = device;
  expect((await model.infer(frame(153))).detections[0]?.confidence).toBeCloseTo(0.6);
  expect(Object.keys(await model.tensors.run({ images: { type: 'float32', dims: [1, 3, 32, 32], data: new Float32Array(3 * 32 * 32) } }, ['output0']))).toEqual(['output0']);
  expect(device.runs).toBe(runs);
});

test('[INF-2] a picture that fails everywhere leaves a model where it is', async () => {
  using model = await load();
  await expect(model.infer(frame(255))).rejects.toThrow('Reshape');
  expect([model.info.provider, await scores(model, 204)]).toEqual([FAKE, ['0.80']]);
  expect(device.released).toBe(0);
});

test('[INF-2] a provider that fails the first pictures does not get the model', async () => {
  device.failure = 'out of memory';
  await expect(load()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', message: 'out of memory' });
  expect(device.released).toBe(1);
});
