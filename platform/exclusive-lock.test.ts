import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockExclusively } from './exclusive-lock.ts';

let folder: string;
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'if-lock-')); });
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });

test('one holds it at a time; released it can be had again', () => {
  const path = join(folder, 'locks', 'edge');
  const first = lockExclusively(path, 0);
  expect(first).not.toBeNull();
  expect(lockExclusively(path, 50)).toBeNull();
  first?.[Symbol.dispose]();
  const second = lockExclusively(path, 0);
  expect(second).not.toBeNull();
  second?.[Symbol.dispose]();
});

test('a holder that is killed with -9 holds it no longer', async () => {
  const path = join(folder, 'edge');
  const script = `import { lockExclusively } from ${JSON.stringify(join(import.meta.dirname, 'exclusive-lock.ts'))}; globalThis.held = lockExclusively(${JSON.stringify(path)}, 0); console.log('held'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  expect(lockExclusively(path, 0)).toBeNull();
  child.kill('SIGKILL');
  await once(child, 'exit');
  const after = lockExclusively(path, 0);
  expect(after).not.toBeNull();
  after?.[Symbol.dispose]();
});
