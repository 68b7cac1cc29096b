import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Config } from '../config/schema.ts';
import { FakeClock } from '../core/testing-clock.ts';
import { silentLogger } from '../platform/logging.ts';
import { RestartBackoff } from './restart-policy.ts';
import { Supervisor } from './supervisor.ts';
import type { ReadyInfo, SupervisorOptions } from './supervisor.ts';

const script = join(import.meta.dirname, 'testing', 'fake-role.ts');
let folder: string;
let file: string;
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'if-super-')); file = join(folder, 'notes'); });
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });

const notes = (): string[] => {
  try {
    return readFileSync(file, 'utf8').trim().split('\n');
  } catch {
    return [];
  }
};
const until = async (condition: () => boolean, withinMs = 10_000): Promise<void> => {
  for (const end = Date.now() + withinMs; !condition();) {
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms: ${notes().join('; ')}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};
const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
};
const make = (behave: string, options: Partial<SupervisorOptions> = {}): { supervisor: Supervisor; ready: Promise<ReadyInfo> } => {
  const { promise, resolve } = Promise.withResolvers<ReadyInfo>();
  const supervisor = new Supervisor(Config.parse({ data_dir: join(folder, 'data') }), {
    script, args: ['--behave', behave, '--file', file], logger: silentLogger(), onReady: resolve, ...options,
  });
  return { supervisor, ready: promise };
};

test('it is ready when all three are, with the URLs of each, and stops the edge before control and worker', async () => {
  const { supervisor, ready } = make('well');
  supervisor.start();
  expect(await ready).toEqual({ urls: { edge: 'http://edge', control: 'http://control', worker: 'http://worker' } });
  const pids = [...supervisor.pids().values()];
  await supervisor.stop();
  expect(await supervisor.finished).toBe(0);
  expect(pids.some(isAlive)).toBe(false);
  const stopped = notes().filter((line) => line.includes('stopped')).map((line) => line.split(' ')[0]);
  expect(stopped[0]).toBe('edge');
  expect(stopped.toSorted()).toEqual(['control', 'edge', 'worker']);
});

test('a process that is killed is started again, and the ready line comes once', async () => {
  let times = 0;
  const { supervisor } = make('well', { onReady: () => { times += 1; } });
  supervisor.start();
  await until(() => times === 1);
  const before = supervisor.pids().get('worker') ?? 0;
  process.kill(before, 'SIGKILL');
  await until(() => notes().filter((line) => line.startsWith('worker started')).length === 2);
  expect(supervisor.pids().get('worker')).not.toBe(before);
  expect(times).toBe(1);
  await supervisor.stop();
});

test('one that dies at once is started again after longer and longer pauses', async () => {
  const clock = new FakeClock();
  const started = (): number => notes().filter((line) => line.startsWith('control started')).length;
  let ends = 0;
  const logger = silentLogger();
  logger.warn = () => { ends += 1; };
  const { supervisor } = make('control-dies', { clock, logger, stopOrder: [['control']] });
  supervisor.start();
  for (const [count, pause] of [[1, 200], [2, 400], [3, 800]] as const) {
    await until(() => ends === count);
    expect(started()).toBe(count);
    clock.advance(pause - 1);
    expect(supervisor.pids().size).toBe(1);
    clock.advance(1);
    await until(() => started() === count + 1);
  }
  await supervisor.stop();
});

test('the pause doubles up to a bound, and begins afresh after a minute of life', () => {
  const backoff = new RestartBackoff({ firstDelayMs: 200, longestDelayMs: 1000, freshAfterMs: 60_000 });
  expect([0, 0, 0, 0, 59_999, 60_000, 0].map((alive) => backoff.next(alive))).toEqual([200, 400, 800, 1000, 1000, 200, 400]);
});

test('a role that says it cannot work ends everything with exit code 1', async () => {
  const { supervisor } = make('edge-fatal');
  supervisor.start();
  expect(await supervisor.finished).toBe(1);
  expect([...supervisor.pids().values()].some(isAlive)).toBe(false);
});

test('the ready line is one line of JSON on stdout, and SIGTERM stops everything with exit code 0', async () => {
  const child = spawn(process.execPath, [script, '--role', 'supervisor', '--file', file], { stdio: ['ignore', 'pipe', 'ignore'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  expect(JSON.parse(String(line))).toMatchObject({ message: 'ready', urls: { edge: 'http://edge' } });
  child.kill('SIGTERM');
  expect((await once(child, 'exit'))[0]).toBe(0);
  expect(notes().filter((entry) => entry.includes('stopped'))).toHaveLength(3);
});

test('a supervisor killed with -9 takes its processes along within 2 s', async () => {
  const child = spawn(process.execPath, [script, '--role', 'supervisor', '--file', file], { stdio: ['ignore', 'pipe', 'ignore'] });
  await once(child.stdout, 'data');
  const pids = notes().map((line) => Number(line.split(' ')[2]));
  expect(pids.filter(isAlive)).toHaveLength(3);
  child.kill('SIGKILL');
  await until(() => !pids.some(isAlive), 2000);
});
