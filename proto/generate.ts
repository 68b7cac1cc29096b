import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

/**
 * Generates `proto/gen` from the `.proto` files with buf and protoc-gen-es: `node proto/generate.ts`. With `--check` nothing is
 * written; it lints the `.proto` files and fails when `proto/gen` is not what they say.
 */
const root = import.meta.dirname;
const bin = join(root, '..', 'node_modules', '.bin');
const gen = join(root, 'gen');
const buf = (...args: string[]): void => {
  execFileSync(join(bin, 'buf'), args, { cwd: root, stdio: 'inherit', env: { ...process.env, PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}` } });
};

/** Every file below a folder with its text, by relative path. */
const filesOf = (folder: string): Map<string, string> =>
  new Map(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path): [string, string] => [path.slice(folder.length + 1), readFileSync(path, 'utf8')]),
  );

const check = (): void => {
  buf('lint');
  const scratch = mkdtempSync(join(tmpdir(), 'imageflow-proto-'));
  try {
    buf('generate', '--output', scratch);
    const wanted = filesOf(join(scratch, 'gen'));
    const found = filesOf(gen);
    const stale = [...new Set([...wanted.keys(), ...found.keys()])].filter((path) => wanted.get(path) !== found.get(path));
    if (stale.length === 0) return;
    process.stderr.write(`proto/gen is not what the .proto files say (run: node proto/generate.ts): ${stale.join(', ')}\n`);
    process.exitCode = 1;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
};

if (process.argv.includes('--check')) check();
else {
  rmSync(gen, { recursive: true, force: true });
  buf('generate');
}
