/** Python environments of the tests, kept in the user's cache folder. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/** Where programs that the tests build or fetch are kept between runs. */
export const toolCache = (name: string): string => join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'imageflow-edge', name);

/** In a folder whose environment is whole: one that was interrupted is made anew. */
const COMPLETE = 'complete';

export const isVenv = (folder: string): boolean => existsSync(join(folder, COMPLETE));

/** Makes the environment `folder` with what `packages` (arguments of `pip install`) names. Throws when it cannot be had. */
export const makeVenv = (folder: string, packages: readonly string[]): void => {
  if (spawnSync('python3', ['-m', 'venv', '--help']).status !== 0 || spawnSync('python3', ['-m', 'ensurepip', '--version']).status !== 0) {
    runTool('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'python3-venv'], { DEBIAN_FRONTEND: 'noninteractive' });
  }
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(dirname(folder), { recursive: true });
  runTool('python3', ['-m', 'venv', folder]);
  runTool(join(folder, 'bin', 'python'), ['-m', 'pip', 'install', '--quiet', '--no-cache-dir', '--no-compile', ...packages]);
  writeFileSync(join(folder, COMPLETE), '');
};

/** Runs a program to its end; throws with the last of what it said when it fails. */
export const runTool = (command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): void => {
  const { status, error, stderr } = spawnSync(command, args, { env: { ...process.env, ...env }, encoding: 'utf8', maxBuffer: 64 << 20 });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${String(error ?? stderr).slice(-2000)}`);
};
