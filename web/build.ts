/**
 * Builds the pages into web/dist when a source is newer than the last build (D-18: no install hooks, so `start`, `demo` and `test` call this).
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'vite';

const root = import.meta.dirname;

const newest = (path: string): number => {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))));
};

const built = join(root, 'dist', 'index.html');
const sources = ['src', 'public', 'index.html', 'vite.config.ts', '../package-lock.json'].map((name) => newest(join(root, name)));
if (!existsSync(built) || statSync(built).mtimeMs < Math.max(...sources)) {
  await build({ configFile: join(root, 'vite.config.ts'), logLevel: 'warn' });
}
