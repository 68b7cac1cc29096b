import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { archiveKey } from '../control-api/archive/keys.ts';
import { openDatabase } from '../platform/database/open.ts';
import { TestInstallation } from '../recorder/integrity/testing-recordings.ts';
import type { SegmentRecord } from '../recorder/port.ts';
import type { ArchiveReport } from '../recorder/verify-archive.ts';
import { recordCommand } from './record.ts';

let installation: TestInstallation;
let records: readonly SegmentRecord[];

beforeAll(async () => {
  installation = await TestInstallation.create();
  await using recorder = await installation.start();
  await recorder.record(30);
  await recorder.close();
  records = recorder.segments();
  // What the archive has of them: all but the first two.
  const db = await openDatabase(join(installation.folder, 'imageflow.db'));
  await db.insertInto('segments').values(records.map(({ id, ...record }, i) => ({
    id, camera_id: 'cam', session_id: record.sessionId, epoch: 1, start_ms: record.start, end_ms: record.start + record.duration, bytes: record.bytes, sha256: record.sha256, open: 0 as const, tracks: '[]', gap_before: null,
    archived_at: i < 2 ? null : 1, local: i % 2 === 0 ? 1 as const : 0 as const,
  }))).execute();
  await db.destroy();
});
afterAll(() => installation[Symbol.asyncDispose]());

const objectOf = (id: string): string => join(installation.folder, 'archive', archiveKey(id) ?? '');
beforeEach(async () => {
  for (const { id } of records.slice(2)) {
    await mkdir(dirname(objectOf(id)), { recursive: true });
    await copyFile(installation.path(id), objectOf(id));
  }
});

const verify = async (...args: readonly string[]): Promise<{ readonly lines: readonly string[]; readonly failed: boolean; readonly progress: readonly string[] }> => {
  const lines: string[] = [];
  const progress: string[] = [];
  let failed = false;
  await recordCommand({
    env: { IMAGEFLOW_DATA_DIR: installation.folder }, out: (line) => { lines.push(line); }, err: (line) => { lines.push(line); }, progress: (text) => { progress.push(text); }, secret: () => Promise.resolve(''), fail: () => { failed = true; },
  }).parseAsync(['node', 'record', 'verify', '--archive', ...args]);
  return { lines, failed, progress };
};
const idAt = (i: number): string => records[i]?.id ?? '';

test('[REC-8, REC-10] record verify --archive finds nothing wrong with what is as it was recorded, whether the disk still has it or not', async () => {
  const { lines, failed, progress } = await verify();
  expect({ lines, failed }).toEqual({ lines: [expect.stringMatching(/^28 archived segments checked, \d\.\d MB good, 0 problems$/) as string], failed: false });
  expect(progress).toContainEqual(expect.stringMatching(/^28\/28 recordings, \d+ MB, \d+ MB\/s$/));
  expect(progress.at(-1)).toBe('');
  const { lines: [json = ''] } = await verify('--json', '--camera', 'cam');
  const bytes = records.slice(2).reduce((sum, record) => sum + record.bytes, 0);
  expect(JSON.parse(json)).toEqual({ checked: 28, bytes, problems: [], unsigned: 0, unread: [] });
  expect((await verify('--camera', 'other')).lines).toEqual(['0 archived segments checked, 0.0 MB good, 0 problems']);
});

test('[REC-8, REC-10] an object that is changed, cut, longer, gone, another one or unreadable is named, and no other', async () => {
  const changed = await readFile(objectOf(idAt(3)));
  changed[changed.length >> 1] = (changed[changed.length >> 1] ?? 0) ^ 1;
  await writeFile(objectOf(idAt(3)), changed);
  await truncate(objectOf(idAt(6)), 700);
  await writeFile(objectOf(idAt(9)), Buffer.concat([await readFile(objectOf(idAt(9))), Buffer.alloc(5)]));
  await rm(objectOf(idAt(12)));
  await copyFile(installation.path(idAt(16)), objectOf(idAt(15)));
  await rm(objectOf(idAt(18)));
  await mkdir(join(objectOf(idAt(18)), 'in-its-place'), { recursive: true });
  const { lines, failed } = await verify();
  expect(failed).toBe(true);
  const of = (i: number): string | undefined => lines.find((line) => line.startsWith(`${idAt(i)}: `))?.slice(idAt(i).length + 2);
  expect([3, 6, 9, 12].map(of)).toEqual([
    'SHA-256 differs from the index', `700 bytes, the index says ${String(records[6]?.bytes)}`, `${String((records[9]?.bytes ?? 0) + 5)} bytes, the index says ${String(records[9]?.bytes)}`, 'its object is gone from the archive',
  ]);
  expect(of(15)).toMatch(new RegExp(`^(holds the recording ${idAt(16)}|\\d+ bytes, the index says \\d+)$`));
  expect(of(18)).toMatch(/gone from the archive|cannot be judged/);
  expect(lines.at(-1)).toMatch(/^2[78] archived segments checked, \d\.\d MB good, [56] problems$/);
  expect(lines).toHaveLength(7);
  await rm(objectOf(idAt(18)), { recursive: true });
});

test('[REC-10] an object and its row in the index that were changed together are found by the signature; one that nothing signed vouches for, too', async () => {
  const db = await openDatabase(join(installation.folder, 'imageflow.db'));
  const put = async (i: number, bytes: Buffer): Promise<void> => {
    await writeFile(objectOf(idAt(i)), bytes);
    await db.updateTable('segments').set({ bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }).where('id', '=', idAt(i)).execute();
  };
  const leave = (i: number) => db.updateTable('segments').set({ archived_at: null }).where('id', '=', idAt(i)).execute();
  // Those behind these two are not in the archive.
  const forged = await readFile(objectOf(idAt(5)));
  forged[forged.length - 300] = (forged[forged.length - 300] ?? 0) ^ 1;
  await put(5, forged);
  await leave(6);
  await put(20, (await readFile(objectOf(idAt(20)))).subarray(0, -124));
  await leave(21);
  // The archived one behind it still says what it was.
  await put(8, (await readFile(objectOf(idAt(8)))).subarray(0, -124));
  // The last one of all: the signed manifest says it.
  await put(29, (await readFile(objectOf(idAt(29)))).subarray(0, -124));
  const { lines } = await verify('--json');
  for (const [i, record] of records.entries()) await db.updateTable('segments').set({ bytes: record.bytes, sha256: record.sha256, archived_at: i < 2 ? null : 1 }).where('id', '=', record.id).execute();
  await db.destroy();
  const { problems } = JSON.parse(lines[0] ?? '') as ArchiveReport;
  expect(problems.map(({ id, problem }) => [id, problem])).toEqual([
    [idAt(5), 'its signature does not fit its content'], [idAt(8), `SHA-256 differs from what ${idAt(9)} continues`], [idAt(20), 'nothing signed vouches for it'], [idAt(29), 'SHA-256 differs from the signed manifest'],
  ].toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1)));
});

test('without the key of the installation it says that the index alone was asked', async () => {
  const key = join(installation.folder, 'keys', 'signing.pem');
  const pem = await readFile(key);
  await rm(key);
  const { lines, failed } = await verify();
  expect(failed).toBe(false);
  expect(lines).toEqual([expect.stringMatching(/^28 of the good ones carry no signature of this installation/), expect.stringMatching(/^28 archived segments checked, .*, 0 problems$/)]);
  await writeFile(key, pem, { mode: 0o600 });
});
