/** Models are exchanged under load: what a worker has been given is answered. */
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { OnnxModel } from '../../inference/models/onnx-session.ts';
import { WorkerServer } from '../../inference/worker/worker-server.ts';
import { silentLogger } from '../../platform/logging.ts';
import { Asker } from '../support/inference-clients.ts';
import { tinyModel } from '../support/onnx-writer.ts';
import { until } from '../support/server.ts';

const stack = new AsyncDisposableStack();
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'if-swap-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
});
afterAll(() => stack.disposeAsync());

/** A detector of 32 × 32 pixels that finds one object, of the class that is its version. */
const version = (n: number): Buffer => tinyModel({ input: { type: 'float32', dims: [1, 3, 32, 32] }, outputs: [{ name: 'output0', type: 'float32', dims: [1, 1, 6], base: [1, 1, 9, 9, 0.9, n] }] });
const PICTURE = { pixels: Buffer.alloc(3 * 32 * 32), width: 32, height: 32 };

test('[INF-3] a model that is disposed of while it is asked answers first', async () => {
  for (let round = 0; round < 20; round++) {
    const model = await OnnxModel.load({ name: 'm', path: join(folder, 'm.onnx'), bytes: version(3), digest: 'd', threads: 1, bundledFolder: folder, clock: systemClock });
    const asked = [model.infer({ pixels: PICTURE.pixels, sourceWidth: 32, sourceHeight: 32, confidence: 0.5 }), model.infer({ pixels: PICTURE.pixels, sourceWidth: 32, sourceHeight: 32, confidence: 0.5 })];
    model[Symbol.dispose]();
    model[Symbol.dispose]();
    for (const outcome of await Promise.all(asked)) expect(outcome.detections).toMatchObject([{ classId: 3 }]);
  }
});

test('[INF-3] while a worker is asked without a pause its model is replaced ten times: every picture is answered, and no version after its successor', async () => {
  const models = join(folder, 'models');
  await mkdir(models);
  const place = async (n: number): Promise<void> => {
    const made = join(folder, `v${String(n)}`);
    await writeFile(made, version(n));
    await rename(made, join(models, 'swapped.onnx'));
  };
  await place(0);
  await using worker = await WorkerServer.start({
    listen: `unix:${join(folder, 'w.sock')}`, defaultModel: 'swapped', credits: 2, bundledFolder: join(folder, 'none'), modelsFolder: models, threads: 1, maxModelBytes: 1 << 20, deadlineMs: 20_000, kserveCalls: 1, kserveBytes: 1 << 20, batchMax: 1, batchDelayMs: 0, executionProviders: ['cpu'], version: 'test',
    clock: { ...systemClock, every: (period, callback) => systemClock.every(period / 20, callback) }, logger: silentLogger(),
  });
  using asker = new Asker(worker.address);
  await asker.detect('swapped', PICTURE, null);
  /** Versions as the answers came. */
  const answered: (number | undefined)[] = [];
  let going = true;
  const askOn = async (): Promise<void> => {
    while (going) answered.push((await asker.offer('swapped', PICTURE, null)).detections[0]?.classId);
  };
  const askers = [askOn(), askOn(), askOn()];
  for (let n = 1; n <= 10; n++) {
    await place(n);
    await until(`version ${String(n)} answers`, () => answered.at(-1) === n, 30_000);
  }
  going = false;
  await Promise.all(askers); // rejects with the reason if a single one was skipped
  expect(answered).toEqual(answered.toSorted((a, b) => Number(a) - Number(b)));
  expect(new Set(answered).size).toBe(11);
});
