import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EXECUTION_PROVIDERS } from '../../config/inference.ts';
import type { ExecutionProvider } from '../../config/inference.ts';
import { LEAST_GAIN, chooseProvider, planProviders } from './provider-choice.ts';
import type { ProviderMachine, ProviderSetting, ProviderTrial, ProviderVerdict } from './provider-choice.ts';

const BARE: ProviderMachine = { platform: 'linux', offered: ['cpu', 'webgpu', 'cuda', 'tensorrt'], withoutLibrary: ['cuda', 'tensorrt'], nvidia: false, renderNode: false };
const NVIDIA: ProviderMachine = { ...BARE, withoutLibrary: [], nvidia: true };

test.each<[ProviderSetting, ProviderMachine, readonly string[]]>([
  ['auto', BARE, []],
  ['auto', { ...BARE, renderNode: true }, ['webgpu']],
  ['auto', NVIDIA, ['tensorrt', 'cuda', 'webgpu']],
  ['auto', { ...NVIDIA, withoutLibrary: ['tensorrt'] }, ['cuda', 'webgpu']],
  ['auto', { ...NVIDIA, nvidia: false }, []],
  ['auto', { ...BARE, offered: ['cpu'], withoutLibrary: [] }, []],
  ['auto', { ...BARE, platform: 'darwin', offered: ['cpu', 'coreml', 'webgpu'], withoutLibrary: [] }, ['coreml', 'webgpu']],
  ['auto', { ...BARE, platform: 'win32', offered: ['cpu', 'dml', 'webgpu', 'something new'], withoutLibrary: [] }, ['dml', 'webgpu']],
  [['cpu'], NVIDIA, []],
  [['webgpu'], BARE, ['webgpu']],
  [['webgpu', 'cuda', 'cpu', 'tensorrt'], NVIDIA, ['webgpu', 'cuda']],
  [['cuda', 'cuda'], NVIDIA, ['cuda']],
  [['cuda', 'coreml'], BARE, []],
])('[INF-2] %o on %o tries %o', (setting, machine, expected) => { expect(planProviders(setting, machine).toTry).toEqual(expected); });

test('[INF-2] what is offered or named, and not tried, has a reason', () => {
  expect(planProviders('auto', BARE).left).toEqual({ tensorrt: expect.stringContaining('NVIDIA') as string, cuda: expect.stringContaining('NVIDIA') as string, webgpu: expect.stringContaining('/dev/dri/renderD') as string });
  expect(planProviders('auto', { ...BARE, nvidia: true }).left).toEqual({ tensorrt: expect.stringContaining('library') as string, cuda: expect.stringContaining('library') as string });
  expect(planProviders(['cuda'], BARE).left['cuda']).toContain('library');
  expect(planProviders(['coreml'], BARE).left).toEqual({ coreml: 'ONNX Runtime here does not offer it (it offers cpu, webgpu, cuda, tensorrt)' });
  const machine = fc.record({
    platform: fc.constantFrom<NodeJS.Platform[]>('linux', 'darwin', 'win32'), offered: fc.subarray([...EXECUTION_PROVIDERS, 'new']), withoutLibrary: fc.subarray([...EXECUTION_PROVIDERS]), nvidia: fc.boolean(), renderNode: fc.boolean(),
  });
  fc.assert(fc.property(fc.oneof(fc.constant('auto' as const), fc.array(fc.constantFrom(...EXECUTION_PROVIDERS), { minLength: 1 })), machine, (setting, one) => {
    const { toTry, left } = planProviders(setting, one);
    expect(new Set(toTry).size).toBe(toTry.length);
    expect(toTry).not.toContain('cpu');
    for (const provider of toTry) expect([one.offered.includes(provider), one.withoutLibrary.includes(provider), left[provider]]).toEqual([true, false, undefined]);
    const meant = setting === 'auto' ? EXECUTION_PROVIDERS.filter((provider) => provider !== 'cpu' && one.offered.includes(provider)) : setting.slice(0, setting.includes('cpu') ? setting.indexOf('cpu') : undefined);
    expect(new Set([...toTry, ...Object.keys(left)])).toEqual(new Set(meant));
  }));
});

const usable = (own: number, cpu: number, loadMs = 500): ProviderVerdict => ({ usable: true, loadMs, own: { median: own, least: 0.9 * own }, cpu: { median: cpu, least: 0.9 * cpu }, batch: { pictures: 4, why: 'measured' } });
const unusable = (why: string): ProviderVerdict => ({ usable: false, why });
const trial = (provider: ExecutionProvider, verdict: ProviderVerdict): ProviderTrial => ({ provider, verdict });
const NONE = { left: {} };

test('[INF-2] the quickest that gives what the CPU gives is taken where it is clearly quicker; a list is taken at its word', () => {
  const trials = [trial('tensorrt', unusable('no answer within 60 s')), trial('cuda', usable(4, 20)), trial('webgpu', usable(3, 20))];
  expect(chooseProvider('auto', NONE, trials)).toEqual({ name: 'webgpu', why: 'tensorrt: no answer within 60 s; cuda 4.00 ms a picture, cpu 20.0 ms; webgpu 3.00 ms a picture, cpu 20.0 ms', batch: { pictures: 4, why: 'measured' } });
  expect(chooseProvider(['cuda', 'webgpu'], NONE, trials.slice(1)).name).toBe('cuda');
  expect(chooseProvider('auto', NONE, [trial('cuda', usable(17, 20))])).toEqual({ name: 'cpu', why: 'cuda 17.0 ms a picture, cpu 20.0 ms', batch: undefined });
  expect(chooseProvider(['cuda'], NONE, [trial('cuda', usable(30, 20))]).name).toBe('cuda');
  expect(chooseProvider(['cuda', 'cpu'], { left: { cuda: 'no library' } }, [])).toEqual({ name: 'cpu', why: 'worker.execution_providers is cuda, cpu; cuda: no library', batch: undefined });
  expect(chooseProvider(['cpu'], NONE, [])).toMatchObject({ name: 'cpu', why: 'worker.execution_providers says so' });
  expect(chooseProvider('auto', NONE, [])).toMatchObject({ name: 'cpu', why: 'ONNX Runtime offers nothing else here' });
});

test('[INF-2] a model that would keep the worker for long to load is left on the CPU, unless the provider is named', () => {
  expect(chooseProvider('auto', NONE, [trial('tensorrt', usable(2, 20, 30_000))])).toMatchObject({ name: 'cpu', why: 'tensorrt 2.00 ms a picture, cpu 20.0 ms, but 30.0 s to load it' });
  expect(chooseProvider('auto', NONE, [trial('tensorrt', usable(2, 20, 30_000)), trial('cuda', usable(5, 20))]).name).toBe('cuda');
  expect(chooseProvider(['tensorrt'], NONE, [trial('tensorrt', usable(2, 20, 30_000))]).name).toBe('tensorrt');
});

test('[INF-2] whatever trials say: none that failed is chosen, none that is not clearly quicker, and of those that are none is quicker; each has its words', () => {
  const ms = fc.double({ min: 0.01, max: 1000, noNaN: true });
  const times = fc.tuple(ms, fc.double({ min: 0.1, max: 1, noNaN: true })).map(([median, share]) => ({ median, least: median * share }));
  const verdict: fc.Arbitrary<ProviderVerdict> = fc.oneof(
    fc.record({ usable: fc.constant(true as const), loadMs: fc.constant(2000), cpu: times, own: times, batch: fc.constant({ pictures: 1, why: '' }) }),
    fc.record({ usable: fc.constant(false as const), why: fc.constantFrom('it crashed', 'no answer') }),
  );
  const others = EXECUTION_PROVIDERS.filter((provider) => provider !== 'cpu');
  const trials = fc.shuffledSubarray(others).chain((providers) => fc.tuple(...providers.map((provider) => verdict.map((said) => trial(provider, said)))));
  fc.assert(fc.property(trials, fc.boolean(), (tried: readonly ProviderTrial[], auto) => {
    const chosen = chooseProvider(auto ? 'auto' : others, NONE, tried);
    const passed = tried.flatMap(({ provider, verdict: said }) => (said.usable ? [{ provider, ...said, ratio: said.own.median / said.cpu.median }] : []));
    const of = passed.find(({ provider }) => provider === chosen.name);
    const quicker = passed.filter(({ own, cpu }) => own.median <= (1 - LEAST_GAIN) * cpu.median && own.least <= (1 - LEAST_GAIN) * cpu.least);
    if (auto) {
      expect(of === undefined).toBe(quicker.length === 0);
      if (of) for (const { ratio } of quicker) expect(of.ratio).toBeLessThanOrEqual(ratio);
    } else {
      expect(of).toBe(passed[0]);
    }
    expect(chosen.batch).toBe(of?.batch);
    if (!of) expect(chosen.name).toBe('cpu');
    expect(chosen.why).not.toBe('');
    for (const { provider } of tried) expect(chosen.why).toContain(provider);
  }));
});
