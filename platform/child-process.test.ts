import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import fc from 'fast-check';
import { ChildProcess, describeExit } from './child-process.ts';
import type { ChildProcessOptions } from './child-process.ts';
import { LineReader } from './line-reader.ts';

const script = join(import.meta.dirname, 'testing', 'child.ts');

/** Starts a child and waits for its first message. */
const startAndGreet = async (args: readonly string[], options: Partial<ChildProcessOptions> = {}): Promise<{ child: ChildProcess; message: Readonly<Record<string, unknown>> }> => {
  const { promise, resolve } = Promise.withResolvers<Readonly<Record<string, unknown>>>();
  const child = ChildProcess.spawn({ title: 'imageflow-edge test', script, args, onStderrLine: () => undefined, onMessage: resolve, ...options });
  return { child, message: await promise };
};

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    // A zombie whose parent has not waited for it is dead, too.
    return !readFileSync(`/proc/${String(pid)}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
};
const untilDead = async (pid: number, withinMs: number): Promise<boolean> => {
  for (const end = Date.now() + withinMs; Date.now() < end;) {
    if (!isAlive(pid)) return true;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return false;
};

test('a child has its title in full, tells its parent things, and stops on SIGTERM', async () => {
  const title = 'imageflow-edge a-role-with-a-rather-long-name';
  const { child, message } = await startAndGreet(['hello'], { title });
  expect(message).toEqual({ type: 'hello', pid: child.pid });
  expect(readFileSync(`/proc/${String(child.pid)}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()).toBe(title);
  expect(child.running).toBe(true);
  expect(await child.stop(5000)).toMatchObject({ signal: 'SIGTERM', failure: null });
  expect(child.running).toBe(false);
});

test('one that ignores SIGTERM is killed after the grace period', async () => {
  const { child } = await startAndGreet(['stubborn']);
  expect(await child.stop(50)).toMatchObject({ signal: 'SIGKILL' });
});

test('how it ended is told with its last words', async () => {
  const lines: string[] = [];
  const child = ChildProcess.spawn({ title: 'imageflow-edge test', script, args: ['die'], onStderrLine: (line) => lines.push(line) });
  const exit = await child.exited;
  expect(describeExit(child.title, exit)).toBe('imageflow-edge test exited with code 3; its last lines: first line | last words');
  expect(lines).toEqual(['first line', 'last words']);
});

test('extra pipes carry bytes both ways', async () => {
  await using child = ChildProcess.spawn({ title: 'imageflow-edge test', script, args: ['echo'], extraPipes: 1 });
  const pipe = child.pipes[0];
  pipe?.write('ping');
  expect(String((await once(pipe!, 'data'))[0])).toBe('ping');
});

test('a child and its child are gone soon after the parent is killed with -9', async () => {
  const { child, message } = await startAndGreet(['parent']);
  const grandchild = Number(message['pid']);
  expect(isAlive(grandchild)).toBe(true);
  child.kill('SIGKILL');
  expect(await untilDead(grandchild, 2000)).toBe(true);
});

test('a child may finish its work when its parent is gone', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'if-child-'));
  const { child, message } = await startAndGreet(['parent', join(folder, 'note')]);
  child.kill('SIGKILL');
  expect(await untilDead(Number(message['pid']), 2000)).toBe(true);
  expect(existsSync(join(folder, 'note'))).toBe(true);
  rmSync(folder, { recursive: true });
});

test('lines are the same however the bytes arrive, and a long one is cut', () => {
  fc.assert(fc.property(fc.array(fc.string({ minLength: 1 }).map((s) => s.replaceAll('\n', ' '))), fc.integer({ min: 1, max: 9 }), (lines, step) => {
    const seen: string[] = [];
    const reader = new LineReader((line) => seen.push(line));
    const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
    for (let i = 0; i < bytes.length; i += step) reader.push(bytes.subarray(i, i + step));
    reader.end();
    expect(seen).toEqual(lines.map((line) => Buffer.from(line).toString()));
  }));
  const seen: string[] = [];
  const reader = new LineReader((line) => seen.push(line), 4);
  reader.push(Buffer.from('abcdefgh'));
  reader.push(Buffer.from('ijk\nxy\n'));
  expect(seen).toEqual(['abcd', 'xy']);
});
