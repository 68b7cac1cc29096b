import { expect, test } from 'vitest';
import { silentLogger } from '../../platform/logging.ts';
import type { ModelFile } from '../models/model-files.ts';
import type { ProviderMachine, ProviderSetting, ProviderVerdict } from '../models/provider-choice.ts';
import type { ProviderProbe } from './probe-provider.ts';
import { ProviderTrials } from './provider-trials.ts';

const MACHINE: ProviderMachine = { platform: 'linux', offered: ['cpu', 'webgpu', 'cuda', 'tensorrt'], withoutLibrary: [], nvidia: true, renderNode: true };
const FILE: ModelFile = { name: 'm', path: '/m.onnx', backend: 'onnx', bytes: 1, version: '1', bundled: true };
const QUICK: ProviderVerdict = { usable: true, loadMs: 500, cpu: { median: 10, least: 9 }, own: { median: 2, least: 1 }, batch: { pictures: 4, why: 'measured' } };
const CRASH: ProviderVerdict = { usable: false, why: 'it crashed ONNX Runtime (SIGSEGV)' };

const trials = (probe: ProviderProbe, setting: ProviderSetting = 'auto', machine = MACHINE): ProviderTrials => new ProviderTrials({ setting, machine, probe, logger: silentLogger() });

test('[INF-2] a provider that crashes or hangs keeps no other from being judged', async () => {
  const asked: string[] = [];
  using of = trials((_file, provider) => { asked.push(provider); return Promise.resolve(provider === 'cuda' ? QUICK : CRASH); });
  expect(of.first).toEqual({ name: 'cpu', why: 'tensorrt, cuda, webgpu: being tried' });
  expect(await of.choose?.(FILE)).toEqual({ name: 'cuda', why: 'tensorrt: it crashed ONNX Runtime (SIGSEGV); cuda 2.00 ms a picture, cpu 10.0 ms; webgpu: it crashed ONNX Runtime (SIGSEGV)', batch: { pictures: 4, why: 'measured' } });
  expect(asked).toEqual(['tensorrt', 'cuda', 'webgpu']);
});

test('[INF-2] of a list the first that can be used ends the trial', async () => {
  const asked: string[] = [];
  using of = trials((_file, provider) => { asked.push(provider); return Promise.resolve(provider === 'tensorrt' ? CRASH : QUICK); }, ['tensorrt', 'cuda', 'webgpu']);
  expect(await of.choose?.(FILE)).toMatchObject({ name: 'cuda' });
  expect(asked).toEqual(['tensorrt', 'cuda']);
});

test('[INF-2] where there is only the CPU nothing is tried, and the reason is there from the start', () => {
  const never: ProviderProbe = () => Promise.reject(new Error('tried all the same'));
  using bare = trials(never, 'auto', { ...MACHINE, nvidia: false, renderNode: false, withoutLibrary: ['cuda', 'tensorrt'] });
  expect([bare.choose, bare.first]).toEqual([null, { name: 'cpu', why: expect.stringMatching(/cuda: the driver of NVIDIA.*webgpu: there is no graphics card/) as string }]);
  using off = trials(never, ['cpu']);
  expect([off.choose, off.first]).toEqual([null, { name: 'cpu', why: 'worker.execution_providers says so' }]);
});

test('[INF-2] a provider that three models in a row could not use is not tried with further ones', async () => {
  let asked = 0;
  let verdict: ProviderVerdict = CRASH;
  using of = trials(() => { asked++; return Promise.resolve(verdict); }, ['cuda']);
  for (const said of [CRASH, CRASH, QUICK, CRASH, CRASH, CRASH]) {
    verdict = said;
    await of.choose?.(FILE);
  }
  expect(asked).toBe(6);
  verdict = QUICK;
  expect(await of.choose?.(FILE)).toMatchObject({ name: 'cpu', why: expect.stringContaining('with 3 models in a row') as string });
  expect(asked).toBe(6);
});

test('[INF-2] a worker that stops gives up what it tries', async () => {
  const { promise: begun, resolve: begin } = Promise.withResolvers<undefined>();
  const of = trials((_file, _provider, signal) => new Promise((resolve) => {
    signal.addEventListener('abort', () => { resolve(CRASH); });
    begin(undefined);
  }));
  const chosen = of.choose?.(FILE);
  await begun;
  of[Symbol.dispose]();
  expect(await chosen).toBeNull();
});
