import { appendFile, mkdir, mkdtemp, open, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MediaError } from '../core/errors.ts';
import { systemClock } from '../core/clock.ts';
import { silentLogger } from '../platform/logging.ts';
import type { SegmentRecord } from './port.ts';
import { repairRecordings } from './repair.ts';
import { LocalSegments, bytesOf } from './segment-file.ts';
import { readSegmentIndex, recordedSamples, scanSegment } from './segment-index.ts';
import { SegmentInventory } from './segment-inventory.ts';
import { segmentPath } from './segment-path.ts';
import { SegmentWriter } from './segment-writer.ts';
import { testInit, testPart } from './testing-parts.ts';
import { verifyRecordings } from './verify.ts';

let directory = '';
let record: SegmentRecord;
let whole: Buffer;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'imageflow-index-'));
  const init = testInit();
  const parts = [0, 200, 400, 600].map((at) => testPart({ at, init, rtpJump: at }));
  const writer = await SegmentWriter.open(directory, testPart({ at: 0, init }), 0, null);
  await writer.write(parts.slice(0, 2));
  await writer.write(parts.slice(2));
  const closed = await writer.close(false);
  if (!closed.record) throw new Error('not written');
  record = closed.record;
  whole = await readFile(segmentPath(directory, record.id));
});
afterAll(() => rm(directory, { recursive: true }));

test('the index at the end of a file says what its parts say', async () => {
  const quick = await readSegmentIndex(new LocalSegments(directory), record);
  const slow = await readSegmentIndex(new LocalSegments(directory), { ...record, open: true });
  expect([...recordedSamples(quick)].map((s) => ({ ...s, wall: Math.round(s.wall * 1000) }))).toEqual([...recordedSamples(slow)].map((s) => ({ ...s, wall: Math.round(s.wall * 1000) })));
  expect([quick.wholeBytes, slow.wholeBytes, quick.defect, slow.defect]).toEqual([whole.length, whole.length, null, null]);
});

test('an open file is read up to its indexed bytes while it grows behind them', async () => {
  const growing = { ...record, id: 'cam/1-growing-0', open: true, bytes: whole.length };
  await writeFile(segmentPath(directory, growing.id), whole);
  await appendFile(segmentPath(directory, growing.id), whole.subarray(0, 100));
  expect((await readSegmentIndex(new LocalSegments(directory), growing)).defect).toBeNull();
  await rm(segmentPath(directory, growing.id));
});

test('no id leads out of the directory', () => {
  for (const id of ['../etc/passwd', 'cam/../x-y-0', 'cam/1-a-0/..', '/cam/1-a-0', 'cam/1-a-0.mp4', '']) expect(() => segmentPath('dir', id)).toThrow(MediaError);
});

test('verify finds a changed byte, a short file, a missing file and a stranger', async () => {
  const path = segmentPath(directory, record.id);
  expect((await verifyRecordings(directory, [record])).problems).toEqual([]);
  const changed = Buffer.from(whole);
  changed[whole.length >> 1] = (changed[whole.length >> 1] ?? 0) ^ 1;
  await writeFile(path, changed);
  expect((await verifyRecordings(directory, [record])).problems).toEqual([{ id: record.id, kind: 'changed', problem: 'SHA-256 differs from the index' }]);
  await writeFile(path, whole.subarray(1));
  expect((await verifyRecordings(directory, [record])).problems).toMatchObject([{ problem: expect.stringMatching(/the index says/) as string }]);
  await writeFile(path, whole);
  const gone = { ...record, id: 'cam/2-gone-0' };
  expect((await verifyRecordings(directory, [gone])).problems).toEqual([{ id: record.id, kind: 'unknown', problem: 'not in the index' }, { id: gone.id, kind: 'missing', problem: 'the recorded file is gone' }]);
});

test('[REC-3] whatever happened to a file, it is read up to there or refused, and never crashes; repaired, it is clean or moved aside', async () => {
  const damage = fc.record({
    length: fc.integer({ min: 0, max: whole.length }),
    flips: fc.array(fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 })), { maxLength: 4 }),
    zeros: fc.option(fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 4_096 }))),
  });
  const place = join(directory, 'fuzz', 'cam');
  await mkdir(place, { recursive: true });
  const path = join(directory, 'fuzz', `${record.id}.mp4`);
  await fc.assert(fc.asyncProperty(damage, async ({ length, flips, zeros }) => {
    const bytes = Buffer.from(whole.subarray(0, length));
    for (const [at, mask] of flips) if (at < length) bytes[at] = (bytes[at] ?? 0) ^ mask;
    if (zeros && zeros[0] < length) bytes.fill(0, zeros[0], Math.min(length, zeros[0] + zeros[1]));
    await writeFile(path, bytes);
    for (const open of [true, false]) {
      const read = readSegmentIndex(new LocalSegments(join(directory, 'fuzz')), { ...record, bytes: length, open }).catch((error: unknown) => { expect(error).toBeInstanceOf(MediaError); });
      await read;
    }
    await rm(join(place, 'segments.jsonl'), { force: true });
    const inventory = new SegmentInventory({ append: () => undefined });
    await repairRecordings(join(directory, 'fuzz'), { clock: systemClock, logger: silentLogger(), journal: { append: () => undefined }, inventory });
    for (const { id, bytes: size } of inventory.list()) {
      await using file = await open(segmentPath(join(directory, 'fuzz'), id), 'r');
      expect((await file.stat()).size).toBe(size);
      expect((await scanSegment(bytesOf(file), size)).defect).toBeNull();
    }
    expect((await readdir(place)).filter((name) => name.endsWith('.mp4'))).toHaveLength(inventory.list().length);
  }), { numRuns: 300 });
});
