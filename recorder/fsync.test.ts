import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { TestInstallation } from './integrity/testing-recordings.ts';
import type { SegmentDisk, WritableSegment } from './segment-writer.ts';
import { verifyRecordings } from './verify.ts';

/** A real disk that remembers what of it would survive a cut of power: files as of their last sync, in folders that were synced with them in. */
class VolatileDisk implements SegmentDisk {
  readonly #synced = new Map<string, Buffer>();
  readonly #listed = new Set<string>();
  readonly #created = new Set<string>();
  syncs = 0;

  async create(path: string): Promise<WritableSegment> {
    const file = await open(path, 'wx');
    this.#created.add(path);
    return {
      writev: file.writev.bind(file), write: file.write.bind(file), truncate: file.truncate.bind(file), close: () => file.close(),
      datasync: async () => {
        this.syncs++;
        this.#synced.set(path, await readFile(path));
      },
    };
  }

  syncFolder(folder: string): Promise<void> {
    for (const path of this.#created) if (dirname(path) === folder) this.#listed.add(path);
    return Promise.resolve();
  }

  /** Puts what survived in place of what there is. */
  async cutPower(installation: TestInstallation): Promise<void> {
    await rm(join(installation.recordings, 'cam'), { recursive: true });
    await mkdir(join(installation.recordings, 'cam'));
    for (const [path, bytes] of this.#synced) if (this.#listed.has(path)) await writeFile(join(installation.recordings, 'cam', basename(path)), bytes);
  }
}

const PART = 200;

/** Records for 3.6 s into segments of 2 s, and cuts the power in the middle of the second. What a start finds then. */
const cutAt = async (fsync: 'segment' | 'interval' | 'part') => {
  await using installation = await TestInstallation.create();
  const disk = new VolatileDisk();
  await using recorder = await installation.start({ segment_seconds: 2, fsync, fsync_interval_ms: 1_000 }, disk);
  let recorded = 0;
  for (let i = 0; i < 18; i++) {
    await recorder.part(i % 5 === 0);
    recorded += PART;
    await setImmediate();
  }
  const syncs = disk.syncs;
  await using cut = await installation.copy();
  await disk.cutPower(cut);
  await using again = await cut.start();
  const kept = again.segments().reduce((sum, { duration }) => sum + duration, 0);
  await again[Symbol.asyncDispose]();
  const { problems } = await verifyRecordings(cut.recordings, null, { key: cut.key.public });
  return { lost: recorded - kept, syncs, problems, alarms: cut.alarms };
};

test('[REC-3] fsync part: a cut of power costs one part at most', async () => {
  const { lost, problems, alarms } = await cutAt('part');
  expect(lost).toBeLessThanOrEqual(PART);
  expect([problems, alarms]).toEqual([[], []]);
});

test('[REC-3] fsync interval: a cut of power costs the interval and one part at most, for a fraction of the syncs', async () => {
  const { lost, syncs, problems, alarms } = await cutAt('interval');
  expect(lost).toBeLessThanOrEqual(1_000 + PART);
  expect(syncs).toBeLessThanOrEqual(5);
  expect([problems, alarms]).toEqual([[], []]);
});

test('[REC-3] fsync segment: a cut of power costs what is open, and nothing that was closed', async () => {
  const { lost, syncs, problems, alarms } = await cutAt('segment');
  expect(lost).toBe(1_600);
  expect(syncs).toBe(1);
  expect([problems, alarms]).toEqual([[], []]);
});
