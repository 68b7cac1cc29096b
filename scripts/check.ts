/**
 * `npm run check`: everything CI checks besides the tests. Each step prints its name and time; the first failure ends with its exit code.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';

const run = (name: string, command: string, args: readonly string[], expectFailure = false): void => {
  const started = performance.now();
  const result = spawnSync(command, args, { stdio: expectFailure ? 'pipe' : 'inherit', encoding: 'utf8' });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const ok = expectFailure ? result.status !== 0 && result.status !== null : result.status === 0;
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${name} (${seconds} s)`);
  if (ok) return;
  if (expectFailure) console.error(`${name}: expected a failure, got exit code ${String(result.status)}\n${result.stdout}`);
  process.exit(1);
};

run('types', 'tsc', ['--noEmit']);
run('the real entry starts on this Node and accepts the example configuration', 'node', ['main.ts', 'check', '--config', 'config/edge.example.yaml']);
run('generated configuration reference', 'node', ['config/generate.ts', '--check']);
run('generated protocol code', 'node', ['proto/generate.ts', '--check']);
run('generated metrics list and API document', 'node', ['docs/generate.ts', '--check']);
run('lint', 'eslint', ['--max-warnings', '0', '.']);
run('import rules', 'depcruise', ['--config', '.dependency-cruiser.mjs', '.']);

// A check that finds nothing may be looking at nothing: a planted violation must be found.
const canary = 'core/canary';
try {
  mkdirSync(canary, { recursive: true });
  writeFileSync(`${canary}/violation.ts`, "import { createLogger } from '../../platform/logging.ts';\nimport { readFileSync } from 'node:fs';\nexport const canary = [createLogger, readFileSync];\n");
  run('import rules find the planted violation', 'depcruise', ['--config', '.dependency-cruiser.mjs', 'core'], true);
} finally {
  rmSync(canary, { recursive: true, force: true });
}
run('unused code', 'knip', []);
