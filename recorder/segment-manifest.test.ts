import { appendFile, mkdir, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FakeClock } from '../core/testing-clock.ts';
import { silentLogger } from '../platform/logging.ts';
import type { SegmentRecord } from './port.ts';
import { repairRecordings } from './repair.ts';
import { SegmentInventory } from './segment-inventory.ts';
import { appendToManifest, readManifest, writeManifest } from './segment-manifest.ts';
import { SegmentWriter } from './segment-writer.ts';
import { testInit, testPart } from './testing-parts.ts';

const segment = (n: number, open = false): SegmentRecord => ({
  id: `cam/${String(1_750_000_000_000 + n * 10_000)}-session_-${String(n)}`, camera: 'cam', sessionId: 'session', epoch: 1, start: 1_750_000_000_000 + n * 10_000, duration: 10_000, bytes: 1_000,
  sha256: open ? null : 'ab'.repeat(32), open, tracks: [{ kind: 'audio', codec: 'opus', width: null, height: null }], gapBefore: null,
});
const ids = (lines: string): string[] => lines.split('\n').filter((line) => line !== '').map((line) => (JSON.parse(line) as SegmentRecord).id);

const rig = async () => {
  const directory = await mkdtemp(join(tmpdir(), 'imageflow-manifest-'));
  await mkdir(join(directory, 'cam'));
  const inventory = new SegmentInventory({ append: () => undefined });
  return {
    directory, path: join(directory, 'cam', 'segments.jsonl'), inventory,
    repair: () => repairRecordings(directory, { clock: new FakeClock(), logger: silentLogger(), journal: { append: () => undefined }, inventory }),
    /** A real segment and its record. */
    record: async (): Promise<SegmentRecord> => {
      const part = testPart({ at: 0, init: testInit() });
      const writer = await SegmentWriter.open(directory, part, 0, null);
      await writer.write([part]);
      const { record } = await writer.close(false);
      if (!record) throw new Error('not written');
      return record;
    },
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  };
};

test('a rolling window of segments keeps a manifest of at most twice its lines and a thousand', async () => {
  await using r = await rig();
  const window = 20;
  let longest = 0;
  for (let n = 0; n < 1_300; n++) {
    r.inventory.put(segment(n));
    if (n >= window) r.inventory.expire(segment(n - window));
    await appendToManifest(r.directory, segment(n), r.inventory);
    if (n % 20 === 0 || n > 1_030 && n < 1_050) longest = Math.max(longest, ids(await readFile(r.path, 'utf8')).length);
  }
  expect(longest).toBeGreaterThan(1_000);
  expect(longest).toBeLessThanOrEqual(2 * window + 1_000 + 10);
  const known = await readManifest(r.directory, 'cam', new Set(r.inventory.list().map(({ id }) => id)), silentLogger());
  expect([...known.values()]).toEqual(r.inventory.list());
});

test('a manifest written anew holds the closed segments, and nothing else lies beside it', async () => {
  await using r = await rig();
  await writeManifest(r.directory, 'cam', [...Array.from({ length: 1_200 }, (_, n) => segment(n)), segment(1_200, true)]);
  expect(ids(await readFile(r.path, 'utf8'))).toEqual(Array.from({ length: 1_200 }, (_, n) => segment(n).id));
  await expect(stat(`${r.path}.new`)).rejects.toThrow('ENOENT');
});

test('only segments that are there are remembered, whatever else the lines say', async () => {
  await using r = await rig();
  await writeFile(r.path, [JSON.stringify(segment(1)), '{"id":', 'x'.repeat(300_000), '', JSON.stringify(segment(2)), JSON.stringify({ ...segment(3), camera: 'other' }), JSON.stringify(segment(4))].join('\n'));
  const known = await readManifest(r.directory, 'cam', new Set([segment(2), segment(3), segment(4)].map(({ id }) => id)), silentLogger());
  expect([...known.values()]).toEqual([segment(2), segment(4)]);
});

test('[REC-3] a manifest longer than any string still spares reading the files', async () => {
  await using r = await rig();
  const record = await r.record();
  await appendToManifest(r.directory, record, r.inventory);
  await truncate(r.path, 2 ** 29 + 100); // zeros that take no room
  await appendFile(r.path, '\n');
  expect(await r.repair()).toMatchObject({ segments: 1, read: 0 });
  expect(r.inventory.list()).toEqual([record]);
});

test('[REC-3] a manifest that cannot be read or written costs reading the files, not the recordings', async () => {
  await using r = await rig();
  const record = await r.record();
  await mkdir(join(r.path, 'something'), { recursive: true });
  expect(await r.repair()).toMatchObject({ segments: 1, read: 1, damaged: 0 });
  expect(r.inventory.list()).toEqual([record]);
});
