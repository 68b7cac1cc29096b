import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FakeClock } from '../core/testing-clock.ts';
import type { EdgeEvent } from '../media-control/port.ts';
import { silentLogger } from '../platform/logging.ts';
import type { SegmentRecord } from './port.ts';
import { repairRecordings } from './repair.ts';
import type { RepairReport } from './repair.ts';
import { SegmentInventory } from './segment-inventory.ts';
import { segmentPath } from './segment-path.ts';
import { SegmentWriter } from './segment-writer.ts';
import { testInit, testPart } from './testing-parts.ts';

const PARTS = 50;
let directory = '';
let whole: Buffer;
let record: SegmentRecord;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'imageflow-repair-'));
  const init = testInit();
  const writer = await SegmentWriter.open(directory, testPart({ at: 0, init }), 0, null);
  for (let i = 0; i < PARTS; i++) await writer.write([testPart({ at: i * 200, init })]);
  const closed = await writer.close(false);
  if (!closed.record) throw new Error('not written');
  record = closed.record;
  whole = await readFile(segmentPath(directory, record.id));
});
afterAll(() => rm(directory, { recursive: true }));

interface Repaired {
  readonly report: RepairReport;
  readonly listed: readonly SegmentRecord[];
  /** The file in its place, and moved aside. */
  readonly kept: Buffer | undefined;
  readonly aside: Buffer | undefined;
  readonly alarms: readonly string[];
}

/** Repairs a camera whose only file holds `bytes`, with no manifest. */
const repair = async (bytes: Buffer): Promise<Repaired> => {
  const place = await mkdtemp(join(directory, 'case-'));
  const path = segmentPath(place, record.id);
  await mkdir(join(place, 'cam'));
  await writeFile(path, bytes);
  const events: EdgeEvent[] = [];
  const journal = { append: (event: EdgeEvent): void => { events.push(event); } };
  const inventory = new SegmentInventory(journal);
  const report = await repairRecordings(place, { clock: new FakeClock(), logger: silentLogger(), journal, inventory });
  const damaged = await readdir(join(place, 'cam', 'damaged')).catch(() => []);
  return {
    report, listed: inventory.list(), kept: await readFile(path).catch(() => undefined),
    aside: damaged[0] === undefined ? undefined : await readFile(join(place, 'cam', 'damaged', damaged[0])),
    alarms: events.flatMap((event) => (event.type === 'alarm' ? [event.alarm.code] : [])),
  };
};

/** Position of the type field of the `n`th box of `type`. */
const typeAt = (type: string, n: number): number => {
  let at = -1;
  for (let i = 0; i <= n; i++) at = whole.indexOf(type, at + 1, 'latin1');
  return at;
};
const changed = (at: number, value: string | number): Buffer => {
  const bytes = Buffer.from(whole);
  if (typeof value === 'string') bytes.write(value, at, 'latin1');
  else bytes[at] = value;
  return bytes;
};

describe('[REC-3] a defect with parts behind it costs nothing: the file is moved aside as it is, with an alarm', () => {
  test.each([
    ['the first part', () => changed(typeAt('moof', 0), 'mooX')],
    ['a part in the middle', () => changed(typeAt('moof', 5), 'mooX')],
    ['a length that reaches beyond the end of the file', () => changed(typeAt('mdat', 5) - 4, 0x7f)],
    ['a length that reaches over the next parts', () => changed(typeAt('mdat', 5) - 2, 0x10)],
    ['a length of zero, which means up to the end', () => { const bytes = Buffer.from(whole); bytes.fill(0, typeAt('mdat', 5) - 4, typeAt('mdat', 5)); return bytes; }],
    ['the length of the first prft', () => changed(typeAt('prft', 0) - 4, 0x7f)],
    ['zeros in the middle', () => { const bytes = Buffer.from(whole); bytes.fill(0, whole.length >> 1, (whole.length >> 1) + 4096); return bytes; }],
  ])('%s', async (_, damage) => {
    const bytes = damage();
    const { report, kept, aside, listed, alarms } = await repair(bytes);
    expect({ kept, listed, alarms }).toEqual({ kept: undefined, listed: [], alarms: ['recording_damaged'] });
    expect(aside?.equals(bytes)).toBe(true);
    expect(report).toMatchObject({ damaged: 1, cut: 0 });
  });
});

describe('[REC-3] what a crash leaves is cut at its last whole part, without an alarm', () => {
  test.each([
    ['the end of the file in an mdat', () => whole.subarray(0, typeAt('mdat', 30) + 50), 30],
    ['in a moof', () => whole.subarray(0, typeAt('moof', 30) + 50), 30],
    ['between moof and mdat', () => whole.subarray(0, typeAt('mdat', 30) - 4), 30],
    ['in a box header', () => whole.subarray(0, typeAt('mdat', 30) - 1), 30],
    ['zeros that a power cut left', () => Buffer.concat([whole.subarray(0, typeAt('moof', 30) + 50), Buffer.alloc(9_000)]), 30],
    ['zeros behind a whole part', () => Buffer.concat([whole.subarray(0, typeAt('prft', 30) - 4), Buffer.alloc(9_000)]), 30],
  ])('%s', async (_, damage, parts) => {
    const { kept, aside, listed, alarms } = await repair(damage());
    expect({ aside, alarms }).toEqual({ aside: undefined, alarms: [] });
    expect(listed).toMatchObject([{ open: false, duration: parts * 200, bytes: kept?.length }]);
    expect(kept?.equals(whole.subarray(0, kept.length))).toBe(true);
  });

  test('a file without one whole part goes', async () => {
    for (const end of [typeAt('mdat', 0) + 50, typeAt('prft', 0) - 4]) {
      expect(await repair(whole.subarray(0, end))).toMatchObject({ kept: undefined, aside: undefined, listed: [], alarms: [] });
    }
  });
});

test('[REC-3] one changed byte, wherever it is, costs at most the last part: everything else stays in its place or is moved aside whole', async () => {
  const lastPart = typeAt('prft', PARTS - 1) - 4;
  await fc.assert(fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, mask) => {
    const bytes = changed(at, (whole[at] ?? 0) ^ mask);
    const { kept, aside, listed, alarms } = await repair(bytes);
    expect((kept ?? aside)?.equals(bytes.subarray(0, (kept ?? aside)?.length))).toBe(true);
    if (kept) expect(kept.length).toBeGreaterThanOrEqual(lastPart);
    else expect(aside?.length).toBe(bytes.length);
    expect([listed.length, alarms.length]).toEqual(kept ? [1, 0] : [0, 1]);
  }), { numRuns: 100 });
});
