import type { InferenceSession } from 'onnxruntime-node';
import { expect, test } from 'vitest';
import { FallingBackRuns } from './session-runs.ts';
import type { ModelRuns } from './session-runs.ts';

/** Gives its name, or fails with what `failure` says. */
class Runs implements ModelRuns {
  readonly name: string;
  failure: string | null = null;
  runs = 0;
  disposed = 0;

  constructor(name: string) {
    this.name = name;
  }

  run(): Promise<InferenceSession.ReturnType> {
    this.runs++;
    return this.failure === null ? Promise.resolve({ by: this.name } as unknown as InferenceSession.ReturnType) : Promise.reject(new Error(this.failure));
  }

  [Symbol.dispose](): void { this.disposed++; }
}

const setUp = () => {
  const [device, cpu] = [new Runs('device'), new Runs('cpu')];
  const made = { sessions: 0, failure: null as string | null };
  const runs = new FallingBackRuns(device, () => {
    made.sessions++;
    return made.failure === null ? Promise.resolve(cpu) : Promise.reject(new Error(made.failure));
  });
  let fellBack: string | null = null;
  void runs.fellBack.then((why) => { fellBack = why; });
  return { device, cpu, made, runs, fellBack: () => fellBack, ask: async () => (await runs.run({}, [])) as unknown };
};

test('[INF-2] while a provider answers, the CPU is not asked, nor is a session made for it', async () => {
  const { device, cpu, made, fellBack, ask } = setUp();
  for (let i = 0; i < 3; i++) expect(await ask()).toEqual({ by: 'device' });
  expect([device.runs, cpu.runs, made.sessions, fellBack()]).toEqual([3, 0, 0, null]);
});

test('[INF-2] a picture that a provider fails on is answered by the CPU, and so are all after it; the reason is told once', async () => {
  const { device, cpu, made, fellBack, ask, runs } = setUp();
  await ask();
  device.failure = 'device lost';
  for (let i = 0; i < 3; i++) expect(await ask()).toEqual({ by: 'cpu' });
  expect([device.runs, device.disposed, cpu.runs, made.sessions, fellBack()]).toEqual([2, 1, 3, 1, 'device lost']);
  cpu.failure = 'a bad picture';
  await expect(ask()).rejects.toThrow('a bad picture');
  runs[Symbol.dispose]();
  await expect.poll(() => cpu.disposed).toBe(1);
});

test('[INF-2] a picture that fails on the CPU too is not the provider\'s fault', async () => {
  const { device, cpu, made, fellBack, ask } = setUp();
  device.failure = 'cannot reshape';
  cpu.failure = 'cannot reshape, says the CPU';
  for (let i = 0; i < 2; i++) await expect(ask()).rejects.toThrow('cannot reshape, says the CPU');
  device.failure = null;
  expect(await ask()).toEqual({ by: 'device' });
  expect([device.disposed, made.sessions, fellBack()]).toEqual([0, 1, null]);
});

test('[INF-2] where no session can be made on the CPU the provider\'s failure is told, and it is tried again with the next', async () => {
  const { device, made, ask } = setUp();
  device.failure = 'device lost';
  made.failure = 'no memory';
  await expect(ask()).rejects.toThrow('device lost');
  made.failure = null;
  expect(await ask()).toEqual({ by: 'cpu' });
  expect(made.sessions).toBe(2);
});

test('[INF-2] runs at the same time fall back together, on one session', async () => {
  const { device, made, ask } = setUp();
  device.failure = 'device lost';
  expect(await Promise.all([ask(), ask(), ask()])).toEqual([{ by: 'cpu' }, { by: 'cpu' }, { by: 'cpu' }]);
  expect([made.sessions, device.disposed]).toEqual([1, 1]);
});
