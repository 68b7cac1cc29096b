/** What ONNX Runtime runs models on: tried in processes that may crash or hang, and never in the way of a model on the CPU. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { OnnxModel } from '../../inference/models/onnx-session.ts';
import type { ProviderMachine } from '../../inference/models/provider-choice.ts';
import { probeProvider } from '../../inference/worker/probe-provider.ts';
import { WorkerServer } from '../../inference/worker/worker-server.ts';
import { ChildProcess } from '../../platform/child-process.ts';
import { silentLogger } from '../../platform/logging.ts';
import { Asker, settledModels } from '../support/inference-clients.ts';
import { tinyModel } from '../support/onnx-writer.ts';
import { until } from '../support/server.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const MODELS = join(ROOT, 'models');
const BUNDLED = 'nanodet-g-416.int8.u8';
const PROBED = { bundledFolder: MODELS, threads: 1, batchMax: 4, deadlineMs: 20_000 };
let folder: string;
let tiny: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'if-exec-'));
  tiny = join(folder, 'tiny.onnx');
  writeFileSync(tiny, tinyModel({ batched: true, input: { type: 'float32', dims: ['n', 3, 32, 32] }, outputs: [{ name: 'output0', type: 'float32', dims: [1, 1, 6], base: [1, 1, 9, 9, 0.1, 0], gain: [9, 9, 9, 9, 0.8, 0] }] }));
});
afterAll(() => { rmSync(folder, { recursive: true, force: true }); });

const forever = new AbortController().signal;
const script = (name: string, source: string): string => {
  const path = join(folder, `${name}.mjs`);
  writeFileSync(path, source);
  return path;
};

test('[INF-2] what gives the same as the CPU, as the CPU itself does, is usable, with what a picture takes and how many pay together', async () => {
  for (const path of [tiny, join(MODELS, `${BUNDLED}.onnx`)]) {
    const verdict = await probeProvider(PROBED)({ path }, 'cpu', forever);
    expect(verdict).toMatchObject({ usable: true, batch: { why: expect.any(String) as string } });
    if (!verdict.usable) return;
    for (const { median, least } of [verdict.cpu, verdict.own]) expect(least > 0 && least <= median).toBe(true);
  }
});

test('[INF-2] a provider that is not there, and a model that cannot be loaded, are refused with the reason', async () => {
  const probe = probeProvider(PROBED);
  for (const provider of ['coreml', 'dml'] as const) expect(await probe({ path: tiny }, provider, forever), provider).toMatchObject({ usable: false, why: expect.stringMatching(/./) as string });
  const broken = join(folder, 'broken.onnx');
  writeFileSync(broken, 'this is no model');
  expect(await probe({ path: broken }, 'cpu', forever)).toMatchObject({ usable: false });
});

test.each<[string, string, RegExp]>([
  ['throws', 'process.stdout.write("Failed to get a\\n  WebGPU adapter"); process.exitCode = 1;', /^Failed to get a WebGPU adapter$/],
  ['crashes', 'process.kill(process.pid, "SIGSEGV"); setInterval(() => {}, 1000);', /^it crashed ONNX Runtime \(SIGSEGV\)$/],
  ['crashes after it had an answer', 'process.stdout.write("\\n" + JSON.stringify({ cpu: { median: 2, least: 2 }, own: { median: 1, least: 1 }, batch: { pictures: 1, why: "" } }), () => process.kill(process.pid, "SIGABRT")); setInterval(() => {}, 1000);', /^it crashed ONNX Runtime \(SIGABRT\)$/],
  ['hangs', 'for (;;);', /^no answer within 2 s$/],
  ['says nothing', '', /^its trial ended without a word$/],
  ['says nonsense', 'process.stdout.write("\\n{\\"cpu\\": 1}");', /^its trial ended without a word$/],
  ['ends early', 'process.exitCode = 7;', /^it crashed ONNX Runtime \(exit code 7\)$/],
])('[INF-2] a provider whose trial %s is left with the reason', async (what, source, why) => {
  const verdict = await probeProvider({ ...PROBED, script: script(what.replaceAll(' ', '-'), source), timeoutMs: what === 'hangs' ? 2000 : 60_000 })({ path: tiny }, 'webgpu', forever);
  expect(verdict).toEqual({ usable: false, why: expect.stringMatching(why) as string });
});

test('[INF-2] a trial ends with the worker', async () => {
  const stop = new AbortController();
  const verdict = probeProvider({ ...PROBED, script: script('endless', 'setInterval(() => {}, 1000);') })({ path: tiny }, 'webgpu', stop.signal);
  stop.abort();
  expect(await verdict).toMatchObject({ usable: false });
});

test('[INF-2] what hangs in a trial does not outlive a worker that is killed', async () => {
  const watchdog = JSON.stringify(pathToFileURL(join(ROOT, 'inference/worker/probe-watchdog.ts')).href);
  const hung = script('hung', `import { endWithParent } from ${watchdog}; endWithParent(); console.log('hangs'); for (;;);`);
  const parent = spawn(process.execPath, [script('parent', `
    import { spawn } from 'node:child_process';
    const child = spawn(process.execPath, [${JSON.stringify(hung)}]);
    child.stdout.once('data', () => { console.log(child.pid); });
  `)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const pid = await new Promise<number>((resolve) => { parent.stdout.once('data', (data: Buffer) => { resolve(Number(data.toString())); }); });
  expect(pid).toBeGreaterThan(0);
  const lives = (): boolean => {
    try {
      process.kill(pid, 0);
      return !/^State:\s*Z/m.test(readFileSync(`/proc/${String(pid)}/status`, 'utf8')); // nobody may fetch the dead
    } catch {
      return false;
    }
  };
  expect(lives()).toBe(true);
  parent.kill('SIGKILL');
  await until('it has ended', () => !lives(), 60_000);
});

test('[INF-2] a provider that ONNX Runtime was built without is refused; ONNX Runtime itself would pass it over in silence', async () => {
  const bytes = readFileSync(tiny);
  await expect(OnnxModel.load({ name: 'm', path: tiny, bytes, digest: '', threads: 1, bundledFolder: MODELS, clock: systemClock, provider: { name: 'coreml', why: '' } })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
});

test('[INF-2] a worker whose provider passed its trial and then cannot be used stays on the CPU, and answers all the time', async () => {
  const machine: ProviderMachine = { platform: 'darwin', offered: ['cpu', 'coreml'], withoutLibrary: [], nvidia: false, renderNode: false };
  const { promise: release, resolve: passed } = Promise.withResolvers<undefined>();
  await using worker = await WorkerServer.start({
    listen: `unix:${join(folder, 'w.sock')}`, defaultModel: BUNDLED, credits: 2, bundledFolder: MODELS, modelsFolder: join(folder, 'none'), threads: 1, batchMax: 1, batchDelayMs: 0, maxModelBytes: 64 << 20,
    executionProviders: 'auto', providerMachine: machine,
    probeProvider: async () => { await release; return { usable: true, loadMs: 500, cpu: { median: 10, least: 9 }, own: { median: 1, least: 1 }, batch: { pictures: 1, why: '' } }; },
    deadlineMs: 20_000, kserveCalls: 1, kserveBytes: 1 << 20, version: 'test', clock: systemClock, logger: silentLogger(),
  });
  await worker.warm; // though the trial has not ended
  using asker = new Asker(worker.address);
  const picture = { pixels: Buffer.alloc(3 * 416 * 416, 114), width: 416, height: 416 };
  await asker.detect(BUNDLED, picture, null);
  const provider = async (): Promise<readonly [string | undefined, string | undefined]> => {
    const model = (await settledModels(worker.address)).get(BUNDLED);
    return [model?.provider, model?.providerReason];
  };
  expect(await provider()).toEqual(['cpu', 'coreml: being tried']);
  passed(undefined);
  await until('what was found is told', async () => (await provider())[1]?.startsWith('coreml passed its trial and failed: '), 60_000);
  expect((await provider())[0]).toBe('cpu');
  await asker.detect(BUNDLED, picture, null);
});

test('[INF-1] [INF-2] a worker that is to use WebGPU is ready on whatever machine, and says what its model runs on and why', async () => {
  const data = join(folder, 'data');
  mkdirSync(data);
  const ready = Promise.withResolvers<string>();
  await using worker = ChildProcess.spawn({
    title: 'imageflow-edge worker', script: join(ROOT, 'processes/worker.ts'), onStderrLine: () => undefined,
    env: { IMAGEFLOW_DATA_DIR: data, IMAGEFLOW_WORKER_LISTEN: `unix:${join(folder, 'gpu.sock')}`, IMAGEFLOW_LOG_LEVEL: 'error', IMAGEFLOW_WORKER_EXECUTION_PROVIDERS: 'webgpu,cpu' },
    onMessage: (message) => { if (message['type'] === 'ready') ready.resolve(String(message['listen'])); },
  });
  let exited = false;
  void worker.exited.then(() => { exited = true; });
  const address = await ready.promise;
  const model = await until('it was tried', async () => {
    const found = (await settledModels(address)).get(BUNDLED);
    return found?.providerReason === 'webgpu: being tried' ? null : found;
  }, 100_000);
  // Without a graphics card, and where WebGPU is not offered, the CPU.
  expect(['cpu', 'webgpu']).toContain(model.provider);
  expect(model.providerReason).toMatch(/^worker\.execution_providers is webgpu, cpu; webgpu/);
  using asker = new Asker(address);
  await asker.detect(BUNDLED, { pixels: Buffer.alloc(3 * 416 * 416, 114), width: 416, height: 416 }, null);
  expect(exited).toBe(false);
});
