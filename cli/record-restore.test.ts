import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { archiveKey } from '../control-api/archive/keys.ts';
import { toRecord } from '../control-api/recordings/service.ts';
import { openDatabase } from '../platform/database/open.ts';
import { segmentPath } from '../recorder/segment-path.ts';
import type { SegmentRecord } from '../recorder/port.ts';
import { SegmentWriter } from '../recorder/segment-writer.ts';
import { testInit, testPart } from '../recorder/testing-parts.ts';
import { recordCommand } from './record.ts';

const DAY_MS = 24 * 3_600_000;
const START = 1_750_000_000_000;

let directory: string;
beforeEach(() => { directory = mkdtempSync(join(tmpdir(), 'cli-restore-')); });
afterEach(() => { rmSync(directory, { recursive: true, force: true }); });

const restore = async (...args: readonly string[]): Promise<{ readonly text: string; readonly failed: boolean }> => {
  const lines: string[] = [];
  let failed = false;
  await recordCommand({
    env: { IMAGEFLOW_DATA_DIR: directory }, out: (line) => { lines.push(line); }, err: (line) => { lines.push(line); }, progress: () => undefined, secret: () => Promise.resolve(''), fail: () => { failed = true; },
  }).parseAsync(['node', 'record', 'restore', ...args]);
  return { text: lines.join('\n'), failed };
};

/** A real segment that begins at `at` ms after `START`, in the archive alone. */
const archived = async (at: number): Promise<SegmentRecord> => {
  const recordings = join(directory, 'made');
  mkdirSync(recordings, { recursive: true });
  const init = testInit();
  const writer = await SegmentWriter.open(recordings, testPart({ at, init }), at, null);
  await writer.write([testPart({ at, init }), testPart({ at: at + 200, init })]);
  const { record } = await writer.close(false);
  if (!record) throw new Error('not written');
  put(archiveKey(record.id) ?? '', segmentPath(recordings, record.id));
  return record;
};
const put = (key: string, file: string): void => {
  const path = join(directory, 'archive', key);
  mkdirSync(dirname(path), { recursive: true });
  copyFileSync(file, path);
};

const rows = async (): Promise<{ readonly records: SegmentRecord[]; readonly places: unknown[]; readonly marks: unknown[] }> => {
  const db = await openDatabase(join(directory, 'imageflow.db'));
  const segments = await db.selectFrom('segments').selectAll().orderBy('start_ms').execute();
  const marks = await db.selectFrom('marks').select(['camera_id', 'from_ms', 'to_ms', 'archive', 'created_by']).orderBy('from_ms').execute();
  await db.destroy();
  return { records: segments.map(toRecord), places: segments.map((row) => [row.local, row.archived_at !== null, row.expired_at]), marks };
};

test('[REC-8] record restore fills a lost index from the archive alone, and makes marks, so that nothing of it is deleted', async () => {
  const made = [await archived(0), await archived(400), await archived(3 * DAY_MS), await archived(3 * DAY_MS + 400)];
  expect(await restore()).toEqual({ text: expect.stringMatching(/^4 objects in file:\S+, 4 restored \(0\.0 MB\), 2 marks made, 0 problems$/) as string, failed: false });
  const found = await rows();
  expect(found.records).toEqual(made.map(({ gapCause: _cause, ...record }) => record));
  expect(found.places).toEqual(made.map(() => [0, true, null]));
  expect(found.marks).toEqual([0, 3 * DAY_MS].map((at) => ({ camera_id: 'cam', from_ms: START + at, to_ms: START + at + 800, archive: 1, created_by: 'record restore' })));
  expect((await restore()).text).toMatch(/4 objects in .*, 0 restored \(0\.0 MB\), 0 marks made, 0 problems$/);
});

test('[REC-8] what the edge still holds is known to be in both places', async () => {
  const record = await archived(0);
  const db = await openDatabase(join(directory, 'imageflow.db'));
  await db.insertInto('segments').values({
    id: record.id, camera_id: 'cam', session_id: record.sessionId, epoch: 1, start_ms: record.start, end_ms: record.start + record.duration, bytes: record.bytes, sha256: record.sha256, open: 0, tracks: '[]', gap_before: null,
  }).execute();
  await db.destroy();
  expect((await restore('--camera', 'cam')).failed).toBe(false);
  expect((await rows()).places).toEqual([[1, true, null]]);
});

test('an object that is damaged or under another\'s name is named and left out, the others are not', async () => {
  const good = await archived(0);
  const junk = 'cam/2025/06/15/15/1750000001000-session_-7.mp4';
  const renamed = 'cam/2025/06/15/15/1750000002000-session_-8.mp4';
  put(renamed, join(directory, 'archive', archiveKey(good.id) ?? ''));
  writeFileSync(join(directory, 'archive', junk), 'not a recording');
  writeFileSync(join(directory, 'archive', 'readme.txt'), 'somebody else put it there');
  const { text, failed } = await restore('--json');
  expect(failed).toBe(true);
  const report = JSON.parse(text) as { problems: { key: string; problem: string }[] };
  expect(report).toMatchObject({ listed: 4, restored: 1, problems: [{ key: junk }, { key: renamed, problem: `it says it is ${good.id}` }] });
  expect((await rows()).records.map(({ id }) => id)).toEqual([good.id]);
});
