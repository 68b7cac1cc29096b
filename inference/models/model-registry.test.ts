import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MediaError } from '../../core/errors.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import { silentLogger } from '../../platform/logging.ts';
import { ModelRegistry } from './model-registry.ts';
import type { LoadedModel } from './onnx-session.ts';

let folder: string;
let bundled: string;
let mine: string;
let loaded: string[];
let probed: string[];
let disposed: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'if-reg-'));
  bundled = join(folder, 'bundled');
  mine = join(folder, 'mine');
  for (const path of [bundled, mine]) mkdirSync(path);
  loaded = [];
  probed = [];
  disposed = [];
});
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });

const registry = (): ModelRegistry => new ModelRegistry({
  bundledFolder: bundled, modelsFolder: mine, threads: 1, maxModelBytes: 20, clock: new FakeClock(), logger: silentLogger(),
  load: ({ name, bytes, digest }) => {
    const text = Buffer.from(bytes).toString();
    loaded.push(name);
    if (text === 'broken') return Promise.reject(new MediaError('INVALID_ARGUMENT', 'it is broken'));
    const model: LoadedModel = {
      info: { name, digest, inputWidth: 1, inputHeight: 1, inputLayout: 'u8-nhwc', labels: [text], defaultConfidence: 0, state: 'ready', failure: null },
      infer: () => Promise.reject(new Error('not asked here')),
      [Symbol.dispose]: () => { disposed.push(text); },
    };
    return Promise.resolve(model);
  },
  probe: (file) => {
    probed.push(file.name);
    return file.name === 'crasher' ? Promise.reject(new MediaError('INVALID_ARGUMENT', 'it crashed')) : Promise.resolve();
  },
});
let age = 0;
const put = (where: string, name: string, text: string): void => {
  writeFileSync(join(where, name), text);
  const at = new Date(1_700_000_000_000 + 1000 * age++); // another modification time, however fast the test is
  utimesSync(join(where, name), at, at);
};

test('[INF-3] the default model is loaded first; only files of others are tried in a process of their own', async () => {
  for (const name of ['a', 'b', 'first']) put(bundled, `${name}.onnx`, name);
  put(mine, 'own.onnx', 'own');
  put(mine, 'README.txt', 'no model');
  using models = registry();
  await models.start('first');
  expect(loaded).toEqual(['first', 'a', 'b', 'own']);
  expect(probed).toEqual(['own']);
  expect(models.ready('own')?.info.digest).toMatch(/^[0-9a-f]{64}$/);
});

test('[INF-3] a bad file fails with its reason and the others go on', async () => {
  put(mine, 'a-broken.onnx', 'broken');
  put(mine, 'crasher.onnx', 'x');
  put(mine, 'large.onnx', 'x'.repeat(21));
  put(mine, 'z-good.onnx', 'good');
  using models = registry();
  await models.start('none');
  expect(models.list().map(({ name, state, failure }) => [name, state, failure])).toEqual([
    ['a-broken', 'failed', 'it is broken'],
    ['crasher', 'failed', 'it crashed'],
    ['large', 'failed', expect.stringContaining('max_model_bytes')],
    ['z-good', 'ready', null],
  ]);
  expect(loaded).not.toContain('crasher');
  expect(models.has('large')).toBe(true);
  expect(models.ready('large')).toBeUndefined();
});

test('[INF-3] a file still being written is left alone until two scans agree; changed it is swapped in, removed it goes', async () => {
  using models = registry();
  await models.start('none');
  let changes = 0;
  models.onChange(() => { changes++; });
  put(mine, 'm.onnx', 'one');
  await models.scan();
  put(mine, 'm.onnx', 'one, longer');
  await models.scan();
  expect(loaded).toEqual([]);
  await models.scan();
  expect(models.ready('m')?.info.labels).toEqual(['one, longer']);
  put(mine, 'm.onnx', 'two');
  await models.scan();
  await models.scan();
  expect(models.ready('m')?.info.labels).toEqual(['two']);
  expect(disposed).toEqual(['one, longer']);
  rmSync(join(mine, 'm.onnx'));
  await models.scan();
  expect(models.list()).toEqual([]);
  expect(changes).toBeGreaterThan(3);
});

test('[INF-3] a broken successor does not take the place of a model that works', async () => {
  put(bundled, 'm.onnx', 'one');
  using models = registry();
  await models.start('m');
  put(mine, 'm.onnx', 'broken');
  await models.scan();
  await models.scan();
  expect(models.ready('m')?.info.labels).toEqual(['one']);
  expect(models.list()[0]).toMatchObject({ state: 'ready', failure: 'it is broken' });
  loaded = [];
  await models.scan();
  expect(loaded).toEqual([]); // the same broken file is not tried again and again
});
