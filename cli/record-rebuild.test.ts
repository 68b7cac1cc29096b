import { appendFile, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { upsertSegments } from '../control-api/edges/segment-rows.ts';
import { systemClock } from '../core/clock.ts';
import { Config } from '../config/schema.ts';
import { toWireSegment } from '../media-control/wire-events.ts';
import { openDatabase } from '../platform/database/open.ts';
import { lockData } from '../processes/data-lock.ts';
import { TestInstallation } from '../recorder/integrity/testing-recordings.ts';
import type { SegmentRecord } from '../recorder/port.ts';
import type { CliIo } from './io.ts';
import { rebuildIndex } from './record-rebuild.ts';
import { recordCommand } from './record.ts';

let installation: TestInstallation;
let records: readonly SegmentRecord[];
beforeEach(async () => {
  installation = await TestInstallation.create();
  await using recorder = await installation.start();
  await recorder.record(3);
  await recorder.close();
  installation.at += 60_000;
  await recorder.record(2);
  await recorder.close();
  records = recorder.segments();
});
afterEach(() => installation[Symbol.asyncDispose]());

/** The rows a database gets as the edge tells it. */
const told = async (segments: readonly SegmentRecord[]) => {
  const db = await openDatabase(':memory:');
  await upsertSegments(db, segments.map(toWireSegment));
  const rows = await db.selectFrom('segments').selectAll().orderBy('id').execute();
  await db.destroy();
  return rows;
};
const rebuilt = async () => {
  const db = await openDatabase(':memory:');
  const report = await rebuildIndex(db, installation.recordings);
  const rows = await db.selectFrom('segments').selectAll().orderBy('id').execute();
  await db.destroy();
  return { report, rows };
};

test('[REC-10] an index made from the files is the one the recorder told: gaps, causes, chain and all', async () => {
  const { report, rows } = await rebuilt();
  expect(rows).toEqual(await told(records));
  expect(rows.some((row) => row.gap_before !== null && row.gap_cause !== null)).toBe(true);
  expect(report).toMatchObject({ segments: 5, read: 0, open: 0, expired: 0, problems: [] });
});

test('[REC-10] so it is without the memory aid: every file is read then', async () => {
  await rm(join(installation.recordings, 'cam', 'segments.jsonl'));
  const { report, rows } = await rebuilt();
  expect(rows).toEqual(await told(records));
  expect(report.read).toBe(5);
});

test('[REC-10] what is being written is open, what is damaged is named, what is gone is no longer listed', async () => {
  const [first = '', second = '', third = ''] = await installation.files();
  const db = await openDatabase(':memory:');
  await upsertSegments(db, records.map(toWireSegment));
  await rm(installation.path(first));
  const bytes = await readFile(installation.path(second));
  await writeFile(installation.path(second), Buffer.from(bytes.toString('latin1').replace('moof', 'mooX'), 'latin1'));
  await appendFile(installation.path(second), 'x'); // not the size that is noted beside it
  await truncate(installation.path(third), (await stat(installation.path(third))).size - 900);
  const report = await rebuildIndex(db, installation.recordings);
  expect(report).toMatchObject({ segments: 3, open: 1, expired: 1, problems: [{ id: second }] });
  expect((await db.selectFrom('segments').select('id').where('expired_at', 'is', null).orderBy('id').execute()).map(({ id }) => id)).toEqual((await installation.files()));
  await db.destroy();
});

const run = async (...args: readonly string[]) => {
  const lines: string[] = [];
  let failed = false;
  const io: CliIo = {
    env: { IMAGEFLOW_DATA_DIR: installation.folder }, out: (line) => { lines.push(line); }, err: (line) => { lines.push(line); }, progress: () => undefined,
    secret: () => Promise.resolve(''), fail: () => { failed = true; },
  };
  await recordCommand(io).exitOverride().parseAsync([...args], { from: 'user' });
  return { text: lines.join('\n'), failed };
};

test('[REC-10] record rebuild makes the database that is lost; record verify then finds nothing wrong with it, and record key prints whose recordings they are', { timeout: 60_000 }, async () => {
  expect(await run('rebuild')).toEqual({ text: expect.stringMatching(/^5 recordings in the index \(0 read as a whole, 0 still open\), 0 no longer listed/) as string, failed: false });
  expect(await run('verify')).toEqual({ text: expect.stringMatching(/^5 segments checked, .* 0 problems$/) as string, failed: false });
  expect((await run('key')).text).toContain(installation.key.public.pem.trim());
  await rm(installation.path((await installation.files())[2] ?? ''));
  expect(await run('verify')).toMatchObject({ failed: true, text: expect.stringMatching(/^cam\/\S+: the recorded file is gone\n/) as string });
});

test('record rebuild does not touch the database of a server that runs', { timeout: 60_000 }, async () => {
  using _lock = lockData(Config.parse({ data_dir: installation.folder }), 'control');
  const began = systemClock.monotonic();
  expect(await run('rebuild')).toMatchObject({ failed: true });
  expect(systemClock.monotonic()).toBeGreaterThan(began);
  expect(await run('rebuild', '--into', join(installation.folder, 'other.db'))).toMatchObject({ failed: false });
});
