import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { FakeClock } from '../core/testing-clock.ts';
import type { EdgeEvent } from '../media-control/port.ts';
import { silentLogger } from '../platform/logging.ts';
import { KeptRanges } from './kept-ranges.ts';
import { Retention } from './retention.ts';
import type { RetentionDisk } from './retention.ts';
import { SegmentInventory } from './segment-inventory.ts';

interface RigOptions {
  readonly disk?: RetentionDisk;
  readonly kept?: () => KeptRanges;
  readonly confirmed?: () => number | undefined;
  /** Of one that was there before. */
  readonly directory?: string;
}

const rig = async (minFreeBytes: number, { disk, kept, confirmed, directory: given }: RigOptions = {}) => {
  const directory = given ?? (await mkdtemp(join(tmpdir(), 'imageflow-retention-')));
  await mkdir(join(directory, 'cam'), { recursive: true });
  const clock = new FakeClock();
  const events: EdgeEvent[] = [];
  const journal = { append: (event: EdgeEvent): void => { events.push(event); } };
  const inventory = new SegmentInventory(journal);
  const retention = new Retention(
    directory, { of: () => ({ windowMs: 60_000, maxBytes: null }), minFreeBytes, maxBytes: null, isKept: (segment) => kept?.().has(segment) ?? false },
    { clock, logger: silentLogger(), inventory, journal, ...(disk && { disk }), ...(confirmed && { confirmed }) },
  );
  const add = async (sequence: number): Promise<string> => {
    const id = `cam/${String(clock.now())}-abc-${String(sequence)}`;
    await writeFile(join(directory, `${id}.mp4`), 'x');
    inventory.put({ id, camera: 'cam', sessionId: 'abc', epoch: 0, start: clock.now(), duration: 10_000, bytes: 1, sha256: 'x', open: false, tracks: [], gapBefore: null });
    return id;
  };
  return {
    directory, clock, events, inventory, retention, add,
    /** Lets time pass, and each sweep in it end. */
    pass: async (ms: number): Promise<void> => {
      for (let passed = 0; passed < ms; passed += 5_000) {
        clock.advance(5_000);
        await retention.sweep();
      }
    },
    there: (id: string) => existsSync(join(directory, `${id}.mp4`)),
    async [Symbol.asyncDispose]() {
      await retention[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    },
  };
};

test('[D-16] an expired segment leaves the list first; its file goes a minute later', async () => {
  await using r = await rig(0);
  const id = await r.add(0);
  await r.pass(75_000);
  expect(r.events.at(-1)).toEqual({ type: 'segment-expired', id, camera: 'cam' });
  expect(r.inventory.list()).toEqual([]);
  expect(r.there(id)).toBe(true);
  await r.pass(55_000);
  expect(r.there(id)).toBe(true);
  await r.pass(10_000);
  expect(r.there(id)).toBe(false);
  expect(r.inventory.newest('cam')?.id).toBe(id); // the next gap still counts from it
});

test('[D-16] under disk pressure the files go at once; with nothing left to delete an alarm is raised, once', async () => {
  await using r = await rig(Number.MAX_SAFE_INTEGER); // no disk has so much
  const id = await r.add(0);
  await r.pass(75_000);
  expect(r.there(id)).toBe(false);
  await r.retention.sweep();
  await r.retention.sweep();
  expect(r.events.filter(({ type }) => type === 'alarm')).toMatchObject([{ alarm: { code: 'recording_disk_low', raised: true } }]);
});

test('[REC-3] a write that found the disk full makes room whatever statfs says, oldest first', async () => {
  await using r = await rig(0);
  const first = await r.add(0);
  r.clock.advance(1_000);
  const second = await r.add(1);
  expect(await r.retention.relieve()).toBe(true);
  expect([r.there(first), r.there(second)]).toEqual([false, true]);
  expect(await r.retention.relieve()).toBe(true);
  expect(await r.retention.relieve()).toBe(false);
});

/** A disk that answers only when told to. */
class HangingDisk implements RetentionDisk {
  hangs = false;
  readonly calls: string[] = [];
  #waiting: (() => void)[] = [];

  async freeBytes(): Promise<number> {
    await this.#answer('statfs');
    return 1e12;
  }
  unlink(): Promise<void> { return this.#answer('unlink'); }

  answer(): void {
    this.hangs = false;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #answer(call: string): Promise<void> {
    this.calls.push(call);
    return this.hangs ? new Promise((resolve) => { this.#waiting.push(resolve); }) : Promise.resolve();
  }
}

test('a disk that hangs holds neither a sweep nor a thread for each: it is asked once, and again when it has answered', async () => {
  const disk = new HangingDisk();
  await using r = await rig(0, { disk });
  disk.hangs = true;
  const sweep = r.retention.sweep();
  r.clock.advance(4_999);
  r.clock.advance(5_001);
  expect(await sweep).toBe(false);
  await r.pass(20_000);
  expect(await r.retention.relieve()).toBe(false);
  expect(disk.calls).toEqual(['statfs']);
  disk.answer();
  await setImmediate();
  await r.pass(5_000);
  expect(disk.calls).toEqual(['statfs', 'statfs']);
});

test('a recording whose deletion hung is deleted later', async () => {
  const disk = new HangingDisk();
  await using r = await rig(0, { disk });
  await r.add(0);
  await r.pass(130_000);
  disk.calls.length = 0;
  r.clock.advance(5_000);
  disk.hangs = true; // the sweep has asked for the free bytes already
  const sweep = r.retention.sweep();
  while (!disk.calls.includes('unlink')) await setImmediate();
  r.clock.advance(10_000);
  expect(await sweep).toBe(false);
  expect(r.retention.expiredBytes).toBe(1);
  disk.answer();
  await setImmediate();
  await r.retention.sweep();
  expect([disk.calls, r.retention.expiredBytes]).toEqual([['statfs', 'unlink', 'statfs', 'unlink'], 0]);
});

test('a stop does not wait for a disk that hangs', async () => {
  const disk = new HangingDisk();
  await using r = await rig(0, { disk });
  disk.hangs = true;
  void r.retention.sweep();
  const over = r.retention[Symbol.asyncDispose]();
  r.clock.advance(2_000);
  await over;
  disk.answer();
});

test('[REC-2] a kept range stays, through age and a full disk; once nobody keeps it, it goes', async () => {
  let kept = new KeptRanges([]);
  await using r = await rig(0, { kept: () => kept });
  const first = await r.add(0);
  kept = new KeptRanges([{ camera: 'cam', from: r.clock.now() + 9_000, to: r.clock.now() + 60_000 }]);
  await r.pass(600_000);
  expect(await r.retention.relieve()).toBe(false);
  expect(r.inventory.list().map(({ id }) => id)).toEqual([first]);
  kept = new KeptRanges([]);
  await r.pass(70_000);
  expect(r.there(first)).toBe(false);
});

const holdAlarms = (events: readonly EdgeEvent[]) => events.flatMap((event) => (event.type === 'alarm' && event.alarm.code === 'recording_retention_held' ? [event.alarm] : []));

test('[REC-3] more than half of everything at once is not deleted but asked about, also after a restart, until it is confirmed', async () => {
  const operator: { confirmed?: number | undefined } = {};
  await using r = await rig(0, { confirmed: () => operator.confirmed });
  for (let i = 0; i < 60; i++) await r.add(i);
  r.clock.step(86_400_000); // the clock jumps, or the server was off for a day
  await r.retention.sweep();
  await r.retention.sweep();
  expect(holdAlarms(r.events)).toMatchObject([{ raised: true, id: 'recording/retention' }]);
  expect(r.inventory.list()).toHaveLength(60);

  // What comes later goes in its time; and a new process asks, too.
  const later = await r.add(100);
  await r.pass(75_000);
  expect(r.inventory.list().map(({ id }) => id)).not.toContain(later);
  expect(r.inventory.list()).toHaveLength(60);
  const events: EdgeEvent[] = [];
  const again = new Retention(r.directory, { of: () => ({ windowMs: 60_000, maxBytes: null }), minFreeBytes: 0, maxBytes: null, isKept: () => false }, {
    clock: r.clock, logger: silentLogger(), inventory: r.inventory, journal: { append: (event) => { events.push(event); } },
  });
  await again.sweep();
  await again[Symbol.asyncDispose]();
  expect(holdAlarms(events)).toMatchObject([{ raised: true, at: holdAlarms(r.events)[0]?.at }]);

  operator.confirmed = holdAlarms(r.events)[0]?.at;
  await r.retention.sweep();
  expect(r.inventory.list()).toEqual([]);
  expect(holdAlarms(r.events).at(-1)).toMatchObject({ raised: false });
});

test('[REC-3] a hold ends by itself when the clock comes back', async () => {
  await using r = await rig(0);
  const began = r.clock.now();
  for (let i = 0; i < 60; i++) await r.add(i);
  r.clock.step(3_600_000);
  await r.retention.sweep();
  expect(holdAlarms(r.events)).toHaveLength(1);
  r.clock.step(began - r.clock.now());
  await r.retention.sweep();
  expect(holdAlarms(r.events).at(-1)).toMatchObject({ raised: false });
  expect(r.inventory.list()).toHaveLength(60);
});

test('[REC-3] a disk that is nearly full takes of what is held as much as it needs, the oldest first', async () => {
  let free = 1000;
  await using r = await rig(500, { disk: { freeBytes: () => Promise.resolve(free), unlink: () => Promise.resolve() } });
  for (let i = 0; i < 60; i++) {
    await r.add(i);
    r.clock.advance(1);
  }
  r.clock.step(86_400_000);
  await r.retention.sweep();
  expect(r.inventory.list()).toHaveLength(60);
  free = 490;
  await r.retention.sweep();
  expect(r.inventory.list().map(({ id }) => id.split('-').at(-1))).toEqual(Array.from({ length: 50 }, (_, i) => String(i + 10)));
});
