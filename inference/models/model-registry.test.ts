import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MediaError } from '../../core/errors.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import { silentLogger } from '../../platform/logging.ts';
import { ModelRegistry } from './model-registry.ts';
import type { ChosenProvider, ModelProviders } from './model-registry.ts';
import type { ProviderChoice } from '../port.ts';
import type { LoadedModel, LoadOptions } from './loaded-model.ts';

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

const modelOf = (name: string, digest: string, text: string, backend: 'onnx' | 'kserve'): LoadedModel => ({
  info: { name, digest, backend, inputWidth: 1, inputHeight: 1, inputLayout: 'u8-nhwc', labels: [text], defaultConfidence: 0, batch: { pictures: 1, why: '' }, provider: null, state: 'ready', failure: null },
  infer: () => Promise.reject(new Error('not asked here')),
  [Symbol.dispose]: () => { disposed.push(text); },
});
const noServer = (): Promise<LoadedModel> => Promise.reject(new MediaError('UNAVAILABLE', 'no server here'));

const ON_CPU: ModelProviders = { first: { name: 'cpu', why: '' }, choose: null };
const onnxOf = ({ name, bytes, digest }: LoadOptions): Promise<LoadedModel> => {
  const text = Buffer.from(bytes).toString();
  loaded.push(name);
  if (text === 'broken') return Promise.reject(new MediaError('INVALID_ARGUMENT', 'it is broken'));
  return Promise.resolve(modelOf(name, digest, text, 'onnx'));
};
const registry = (kserve: (options: LoadOptions) => Promise<LoadedModel> = noServer, providers = ON_CPU, onnx = onnxOf): ModelRegistry => new ModelRegistry({
  bundledFolder: bundled, modelsFolder: mine, threads: 1, batchMax: 1, batchDelayMs: 0, maxModelBytes: 20, clock: new FakeClock(), logger: silentLogger(), providers,
  load: { onnx, kserve },
  probe: (file) => {
    probed.push(file.name);
    return file.name === 'crasher' ? Promise.reject(new MediaError('INVALID_ARGUMENT', 'it crashed')) : Promise.resolve({ pictures: 1, why: '' });
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

test('[INF-4] a model of a server is tried again at every scan until it is there, fails with the reason when it is lost, and comes back', async () => {
  let answer: (options: LoadOptions) => Promise<LoadedModel> = noServer;
  let tried = 0;
  put(mine, 'far.kserve.json', '{"urls": ["a description may be longer than max_model_bytes"]}');
  using models = registry((options) => { tried++; return answer(options); });
  await models.start('none');
  expect(models.list()).toMatchObject([{ name: 'far', backend: 'kserve', state: 'failed', failure: 'no server here' }]);
  expect(probed).toEqual([]); // nothing of it runs here
  let changes = 0;
  models.onChange(() => { changes++; });
  await models.scan();
  await expect.poll(() => tried).toBe(2);
  expect(changes).toBe(0); // the same is wrong
  const { promise: lost, resolve: lose } = Promise.withResolvers<string>();
  answer = ({ name, digest }) => Promise.resolve({ ...modelOf(name, digest, 'first', 'kserve'), lost });
  await models.scan();
  await expect.poll(() => models.ready('far')?.info.labels).toEqual(['first']);
  await models.scan();
  expect(tried).toBe(3); // what is ready is left alone
  answer = noServer;
  lose('the server is gone');
  await expect.poll(() => models.list()).toMatchObject([{ state: 'failed', failure: 'the server is gone' }]);
  expect(models.ready('far')).toBeUndefined();
  expect(disposed).toEqual(['first']);
  answer = ({ name, digest }) => Promise.resolve(modelOf(name, digest, 'second', 'kserve'));
  await models.scan();
  await expect.poll(() => models.ready('far')?.info.labels).toEqual(['second']);
});

test('[INF-4] a server that keeps its model waiting holds up no other model, and nothing is left of a file that goes meanwhile', async () => {
  const { promise: held, resolve: answer } = Promise.withResolvers<LoadedModel>();
  put(mine, 'a-far.kserve.json', '{}');
  using models = registry(() => held);
  const started = models.start('none');
  put(mine, 'b.onnx', 'b');
  await expect.poll(async () => { await models.scan(); return models.ready('b')?.info.name; }).toBe('b');
  expect(models.list()).toContainEqual(expect.objectContaining({ name: 'a-far', state: 'loading' }));
  rmSync(join(mine, 'a-far.kserve.json'));
  await models.scan();
  answer(modelOf('a-far', '', 'too late', 'kserve'));
  await started;
  expect(disposed).toEqual(['too late']);
  expect(models.list().map(({ name }) => name)).toEqual(['b']);
});

test('[INF-4] a description of a server goes before an ONNX file of the same name; when its server fails, what ran goes on and it is tried again', async () => {
  put(bundled, 'm.onnx', 'local');
  let answer = noServer;
  using models = registry(() => answer());
  await models.start('m');
  put(mine, 'm.onnx', 'own');
  put(mine, 'm.kserve.json', '{}');
  await models.scan();
  await models.scan();
  await expect.poll(() => models.list()).toMatchObject([{ backend: 'onnx', labels: ['local'], state: 'ready', failure: 'no server here' }]);
  answer = () => Promise.resolve(modelOf('m', '', 'far', 'kserve'));
  await models.scan();
  await expect.poll(() => models.list()).toMatchObject([{ backend: 'kserve', labels: ['far'], failure: null }]);
  expect(disposed).toEqual(['local']);
  expect(loaded).toEqual(['m']);
});

test('[INF-4] a description that is far too long is not read', async () => {
  put(mine, 'm.kserve.json', ' '.repeat((1 << 20) + 1));
  using models = registry(() => Promise.reject(new Error('read all the same')));
  await models.start('none');
  expect(models.list()[0]?.failure).toContain('1048576');
});

/** Loads as it is told; what runs on `cuda` may be told to fall back. */
const onDevices = () => {
  const calls: { readonly provider: string | undefined; readonly measured: number | undefined }[] = [];
  const state = { failure: null as string | null, fallBack: (_why: string): void => undefined };
  const load = async (options: LoadOptions): Promise<LoadedModel> => {
    const { provider, measured } = options;
    calls.push({ provider: provider?.name, measured: measured?.pictures });
    if (provider?.name === 'cuda' && state.failure !== null) throw new MediaError('INVALID_ARGUMENT', state.failure);
    const made = await onnxOf(options);
    const { promise, resolve } = Promise.withResolvers<ProviderChoice>();
    state.fallBack = (why) => { resolve({ name: 'cpu', why }); };
    return { ...made, info: { ...made.info, provider: provider ?? null, labels: [`${made.info.labels[0] ?? ''} on ${provider?.name ?? ''}`] }, fellBack: promise, [Symbol.dispose]: () => { disposed.push(provider?.name ?? ''); } };
  };
  return { calls, state, load };
};
const TRYING: ProviderChoice = { name: 'cpu', why: 'being tried' };
const CUDA: ChosenProvider = { name: 'cuda', why: 'quicker', batch: { pictures: 4, why: 'measured there' } };
const STAYS: ChosenProvider = { name: 'cpu', why: 'cuda is slower', batch: undefined };

test('[INF-2] a model answers on the CPU while others are tried, and then moves to what was chosen, with what was measured there', async () => {
  put(bundled, 'm.onnx', 'one');
  const { promise, resolve } = Promise.withResolvers<ChosenProvider>();
  const { calls, state, load } = onDevices();
  using models = registry(noServer, { first: TRYING, choose: () => promise }, load);
  await models.start('m');
  expect(models.list()).toMatchObject([{ state: 'ready', provider: TRYING, labels: ['one on cpu'] }]);
  resolve(CUDA);
  await expect.poll(() => models.list()).toMatchObject([{ state: 'ready', provider: { name: 'cuda', why: 'quicker' } }]);
  expect(models.ready('m')?.info.labels).toEqual(['one on cuda']);
  expect([calls, disposed]).toEqual([[{ provider: 'cpu', measured: undefined }, { provider: 'cuda', measured: 4 }], ['cpu']]);
  state.fallBack('cuda failed: device lost');
  await expect.poll(() => models.list()).toMatchObject([{ state: 'ready', failure: null, provider: { name: 'cpu', why: 'cuda failed: device lost' } }]);
  expect(models.ready('m')?.info.labels).toEqual(['one on cuda']); // it goes on by itself
});

test('[INF-2] a model stays on the CPU, with the reason, where that is chosen and where what was chosen cannot load it', async () => {
  put(bundled, 'a.onnx', 'one');
  put(bundled, 'b.onnx', 'two');
  const { calls, state, load } = onDevices();
  state.failure = 'no memory on the device';
  using models = registry(noServer, { first: TRYING, choose: ({ name }) => Promise.resolve(name === 'a' ? STAYS : CUDA) }, load);
  await models.start('a');
  await expect.poll(() => models.list().map(({ state: is, provider }) => [is, provider?.name, provider?.why])).toEqual([
    ['ready', 'cpu', 'cuda is slower'], ['ready', 'cpu', 'cuda passed its trial and failed: no memory on the device'],
  ]);
  expect([calls.map(({ provider }) => provider), disposed]).toEqual([['cpu', 'cpu', 'cuda'], []]);
});

test('[INF-2] what was found for a file that has been replaced or taken away meanwhile is of no meaning', async () => {
  put(mine, 'm.onnx', 'one');
  put(mine, 'gone.onnx', 'x');
  const asked: string[] = [];
  const { promise, resolve } = Promise.withResolvers<ChosenProvider>();
  const { load } = onDevices();
  using models = registry(noServer, { first: TRYING, choose: async ({ name }) => { asked.push(name); return asked.length === 1 ? promise : STAYS; } }, load);
  await models.start('m');
  await expect.poll(() => asked).toEqual(['m']);
  put(mine, 'm.onnx', 'two');
  rmSync(join(mine, 'gone.onnx'));
  await models.scan();
  await models.scan();
  expect(models.list()).toMatchObject([{ name: 'm', labels: ['two on cpu'], provider: TRYING }]);
  resolve(CUDA);
  await expect.poll(() => models.list()).toMatchObject([{ name: 'm', labels: ['two on cpu'], provider: { name: 'cpu', why: 'cuda is slower' } }]);
  expect(asked).toEqual(['m', 'm']);
});

test('[INF-2] a broken successor leaves a model what it runs on', async () => {
  put(mine, 'm.onnx', 'one');
  const { load } = onDevices();
  using models = registry(noServer, { first: TRYING, choose: () => Promise.resolve(STAYS) }, load);
  await models.start('m');
  await expect.poll(() => models.list()[0]?.provider?.why).toBe('cuda is slower');
  put(mine, 'm.onnx', 'broken');
  await models.scan();
  await models.scan();
  expect(models.list()).toMatchObject([{ state: 'ready', failure: 'it is broken', provider: { name: 'cpu', why: 'cuda is slower' } }]);
});
