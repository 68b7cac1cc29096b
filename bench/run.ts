/** `npm run bench [-- name …]`: runs `bench/*.bench.ts` one after the other and writes `bench/results/{name}.json` with the machine and the commit. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Bench } from './support/bench.ts';

const folder = import.meta.dirname;
const wanted = process.argv.slice(2);
const names = readdirSync(folder).filter((file) => file.endsWith('.bench.ts')).map((file) => file.slice(0, -'.bench.ts'.length)).sort();
const unknown = wanted.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  console.error(`no such benchmark: ${unknown.join(', ')}; there are: ${names.join(', ')}`);
  process.exit(2);
}

const git = (...args: string[]): string => execFileSync('git', args, { cwd: folder, encoding: 'utf8' }).trim();
const machine = { cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, memory_gib: Math.round(totalmem() / 2 ** 30), node: process.version, platform: `${process.platform}-${process.arch}` };
const commit = git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', '--', ':!bench/results') === '' ? '' : '+changes');

mkdirSync(join(folder, 'results'), { recursive: true });
let failed = 0;
for (const name of wanted.length > 0 ? wanted : names) {
  const { bench } = (await import(`./${name}.bench.ts`)) as { bench: Bench };
  console.log(`\n== ${name}: ${bench.what}`);
  try {
    const results = await bench.run();
    for (const row of results) console.log(`${row.met === false ? 'MISSED' : row.met === true ? 'met   ' : '      '} ${row.figure}: ${row.value} ${row.unit}${row.target === undefined ? '' : ` (asked: ${row.target})`}`);
    writeFileSync(join(folder, 'results', `${name}.json`), `${JSON.stringify({ name, what: bench.what, at: new Date().toISOString(), commit, machine, results }, null, 2)}\n`);
  } catch (error) {
    failed++;
    console.error(error);
  }
}
process.exit(failed === 0 ? 0 : 1);
