import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FakeClock } from '../core/testing-clock.ts';
import type { EdgeEvent } from '../media-control/port.ts';
import { silentLogger } from '../platform/logging.ts';
import { Retention } from './retention.ts';
import { SegmentInventory } from './segment-inventory.ts';

const rig = async (minFreeBytes: number) => {
  const directory = await mkdtemp(join(tmpdir(), 'imageflow-retention-'));
  await mkdir(join(directory, 'cam'));
  const clock = new FakeClock();
  const events: EdgeEvent[] = [];
  const journal = { append: (event: EdgeEvent): void => { events.push(event); } };
  const inventory = new SegmentInventory(journal);
  const retention = new Retention(directory, { windowMs: 60_000, minFreeBytes, maxBytes: null }, { clock, logger: silentLogger(), inventory, journal });
  const add = async (sequence: number): Promise<string> => {
    const id = `cam/${String(clock.now())}-abc-${String(sequence)}`;
    await writeFile(join(directory, `${id}.mp4`), 'x');
    inventory.put({ id, camera: 'cam', sessionId: 'abc', epoch: 0, start: clock.now(), duration: 10_000, bytes: 1, sha256: 'x', open: false, tracks: [], gapBefore: null });
    return id;
  };
  return {
    directory, clock, events, inventory, retention, add, there: (id: string) => existsSync(join(directory, `${id}.mp4`)),
    async [Symbol.asyncDispose]() {
      await retention[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    },
  };
};

test('[D-16] an expired segment leaves the list first; its file goes a minute later', async () => {
  await using r = await rig(0);
  const id = await r.add(0);
  r.clock.advance(75_000);
  await r.retention.sweep();
  expect(r.events.at(-1)).toEqual({ type: 'segment-expired', id, camera: 'cam' });
  expect(r.inventory.list()).toEqual([]);
  expect(r.there(id)).toBe(true);
  r.clock.advance(55_000);
  await r.retention.sweep();
  expect(r.there(id)).toBe(true);
  r.clock.advance(10_000);
  await r.retention.sweep();
  expect(r.there(id)).toBe(false);
  expect(r.inventory.newest('cam')?.id).toBe(id); // the next gap still counts from it
});

test('[D-16] under disk pressure the files go at once; with nothing left to delete an alarm is raised, once', async () => {
  await using r = await rig(Number.MAX_SAFE_INTEGER); // no disk has so much
  const id = await r.add(0);
  r.clock.advance(75_000);
  await r.retention.sweep();
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
