import { execFileSync } from 'node:child_process';
import { constants, getPriority } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';

test('a process that yields to media runs behind the one that started it', () => {
  const module = pathToFileURL(join(import.meta.dirname, 'process-priority.ts')).href;
  const script = `import { getPriority } from 'node:os'; const { yieldToMedia } = await import(${JSON.stringify(module)}); yieldToMedia(); console.log(getPriority());`;
  const priority = Number(execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }));
  expect(priority).toBe(Math.min(constants.priority.PRIORITY_LOW, getPriority() + 5));
});
