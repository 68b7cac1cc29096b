import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rebuildIndex } from '../cli/record-rebuild.ts';
import { openDatabase } from '../platform/database/open.ts';
import { TestInstallation } from '../recorder/integrity/testing-recordings.ts';
import type { SegmentRecord } from '../recorder/port.ts';
import type { Bench } from './support/bench.ts';
import { round } from './support/bench.ts';

const SEGMENTS = 20_000;
const WITHOUT_LINES = 2_000;

/** So many recordings, as equal as files with names of their own can be, and what is noted beside them. */
const generate = async (installation: TestInstallation, count: number): Promise<void> => {
  {
    await using recorder = await installation.start();
    await recorder.record(1);
  }
  const [id = ''] = await installation.files();
  const folder = join(installation.recordings, 'cam');
  const bytes = (await readFile(installation.path(id))).toString('latin1');
  const line = (await readFile(join(folder, 'segments.jsonl'), 'utf8')).split('\n').find((each) => each.startsWith('{')) ?? '';
  const record = JSON.parse(line) as SegmentRecord;
  const lines: string[] = [];
  for (let i = 0; i < count; i++) {
    const start = record.start + 10_000 * (i + 1);
    const name = id.replace(String(record.start), String(start));
    await writeFile(installation.path(name), bytes.replace(id, name), 'latin1');
    lines.push(JSON.stringify({ ...record, id: name, start }));
  }
  await writeFile(join(folder, 'new'), `${line}\n${lines.join('\n')}\n`);
  await rename(join(folder, 'new'), join(folder, 'segments.jsonl'));
};

const measure = async (count: number, withLines: boolean): Promise<number> => {
  await using installation = await TestInstallation.create();
  await generate(installation, count);
  if (!withLines) await rm(join(installation.recordings, 'cam', 'segments.jsonl'));
  const folder = await mkdtemp(join(tmpdir(), 'imageflow-bench-'));
  const db = await openDatabase(join(folder, 'index.db'));
  try {
    const { segments, read, seconds, problems } = await rebuildIndex(db, installation.recordings);
    if (segments !== count + 1 || problems.length > 0 || read !== (withLines ? 0 : count + 1)) throw new Error(`${segments} segments, ${read} read, ${problems.length} problems`);
    return segments / seconds;
  } finally {
    await db.destroy();
    await rm(folder, { recursive: true });
  }
};

export const bench: Bench = {
  what: `record rebuild of ${SEGMENTS} recordings into an empty SQLite database, by the lines beside them; and of ${WITHOUT_LINES} small ones that must be read`,
  async run() {
    const withLines = await measure(SEGMENTS, true);
    return [
      { figure: 'rebuild by segments.jsonl', value: round(withLines, 0), unit: 'segments/s', target: '1,000 at least', met: withLines >= 1_000 },
      { figure: 'rebuild by reading small files', value: round(await measure(WITHOUT_LINES, false), 0), unit: 'segments/s' },
    ];
  },
};
