import { expect, test } from 'vitest';
import fc from 'fast-check';
import { FakeClock } from '../../core/testing-clock.ts';
import { silentLogger } from '../../platform/logging.ts';
import { locked } from '../../platform/object-store/object-store.ts';
import type { ObjectStore } from '../../platform/object-store/object-store.ts';
import { archiveKey } from './keys.ts';
import { ArchiveSweep } from './sweep.ts';
import { T0, startArchive } from '../testing/archive.ts';

const NEVER = new AbortController().signal;
const GRACE = 3_600_000;

const sweepOf = (archive: Awaited<ReturnType<typeof startArchive>>, clock: FakeClock, objects: ObjectStore = archive.objects) => {
  const sweep = new ArchiveSweep({ store: archive.store, objects, clock, logger: silentLogger(), metrics: archive.metrics, grace: GRACE }, NEVER);
  return async (): Promise<void> => { for (let after: string | undefined = ''; after !== undefined;) after = await sweep.step(after); };
};
const archiveAll = async (archive: Awaited<ReturnType<typeof startArchive>>, count: number): Promise<void> => {
  await using archiver = archive.archiver();
  archiver.start();
  await expect.poll(async () => (await archive.archived()).length, { timeout: 10_000 }).toBe(count);
};
const keys = async (archive: Awaited<ReturnType<typeof startArchive>>): Promise<string[]> => (await archive.objects.list('', undefined, NEVER)).items.map(({ key }) => key);

test('[REC-8] what no mark covers any more is deleted after the grace; what another mark covers stays', async () => {
  await using archive = await startArchive();
  const clock = new FakeClock(T0);
  const ids = await Promise.all([0, 1, 2, 3].map((n) => archive.segment('cam', n)));
  const mark = await archive.mark('cam', 0, 3);
  await archive.mark('cam', 2, 4);
  await archiveAll(archive, 4);
  await archive.db.updateTable('segments').set({ local: 0 }).where('id', '!=', ids[1] ?? '').execute();
  const sweep = sweepOf(archive, clock);
  await sweep();
  await archive.db.deleteFrom('marks').where('id', '=', mark).execute();
  await sweep();
  clock.advance(GRACE - 1);
  await sweep();
  expect((await keys(archive)).length).toBe(4);
  clock.advance(1);
  await sweep();
  expect(await keys(archive)).toEqual(ids.slice(2).map((id) => archiveKey(id)));
  const rows = await archive.db.selectFrom('segments').select(['archived_at', 'expired_at', 'local', 'unmarked_at']).orderBy('id').execute();
  expect(rows.map((row) => [row.archived_at !== null, row.expired_at, row.local, row.unmarked_at])).toEqual([[false, clock.now(), 0, null], [false, null, 1, null], [true, null, 0, null], [true, null, 0, null]]);
  expect((await archive.metrics.archiveDeleted.get()).values.map(({ labels, value }) => [labels.result, value])).toEqual([['deleted', 2]]);
});

test('a mark made within the grace saves what the deleted one had kept', async () => {
  await using archive = await startArchive();
  const clock = new FakeClock(T0);
  await archive.segment('cam', 0);
  const mark = await archive.mark('cam', 0, 1);
  await archiveAll(archive, 1);
  const sweep = sweepOf(archive, clock);
  await archive.db.deleteFrom('marks').where('id', '=', mark).execute();
  await sweep();
  await archive.mark('cam', 0.5, 0.6);
  await sweep();
  await archive.db.deleteFrom('marks').execute();
  clock.advance(GRACE);
  await sweep();
  expect((await keys(archive)).length).toBe(1);
  clock.advance(GRACE);
  await sweep();
  expect(await keys(archive)).toEqual([]);
});

test('[REC-8] what is under a legal hold stays, listed as before, and is counted; the others go', async () => {
  await using archive = await startArchive();
  const clock = new FakeClock(T0);
  const ids = await Promise.all([0, 1].map((n) => archive.segment('cam', n)));
  await archive.mark('cam', 0, 2);
  await archiveAll(archive, 2);
  await archive.db.deleteFrom('marks').execute();
  const held = archiveKey(ids[0] ?? '') ?? '';
  const objects: ObjectStore = Object.assign(Object.create(archive.objects) as ObjectStore, {
    delete: (key: string, signal: AbortSignal) => (key === held ? Promise.reject(locked(key)) : archive.objects.delete(key, signal)),
  });
  const sweep = sweepOf(archive, clock, objects);
  await sweep();
  clock.advance(GRACE);
  await sweep();
  expect(await keys(archive)).toEqual([held]);
  expect(await archive.archived()).toEqual([ids[0]]);
  expect((await archive.metrics.archiveDeleted.get()).values.map(({ labels, value }) => [labels.result, value])).toEqual([['held', 1], ['deleted', 1]]);
});

test('which archived segments a mark covers is what a look at every mark says, however they lie', async () => {
  const range = fc.tuple(fc.integer({ min: 0, max: 8_000 }), fc.integer({ min: 1, max: 300 })).map(([from, length]) => [from / 10, (from + length) / 10] as const);
  await using archive = await startArchive();
  await fc.assert(fc.asyncProperty(fc.array(range, { maxLength: 12 }), fc.uniqueArray(fc.nat(800), { maxLength: 30 }), async (marks, segments) => {
    await archive.clear();
    for (const n of segments) await archive.store.setArchived(await archive.segment('cam', n, { file: false }), T0);
    for (const [from, to] of marks) await archive.mark('cam', from, to);
    await archive.mark('other', 0, 800);
    const rows = await archive.store.archived('', 1_000);
    expect(rows.map(({ id, covered }) => [Number(id.split('-').at(-1)), covered]).toSorted((a, b) => (a[0] ?? 0) - (b[0] ?? 0))).toEqual(
      segments.toSorted((a, b) => a - b).map((n) => [n, marks.some(([from, to]) => from < n + 1 && to > n) ? 1 : 0]),
    );
  }), { numRuns: 25 });
});

test('what waits is what a look at every mark and segment says, whatever the page', async () => {
  const range = fc.tuple(fc.integer({ min: 0, max: 800 }), fc.integer({ min: 1, max: 200 })).map(([from, length]) => [from / 10, (from + length) / 10] as const);
  const segment = fc.record({ open: fc.constantFrom(0 as const, 1 as const), local: fc.constantFrom(0 as const, 1 as const), archived: fc.boolean() });
  await using archive = await startArchive();
  await fc.assert(fc.asyncProperty(fc.array(range, { maxLength: 12 }), fc.array(segment, { maxLength: 40 }), async (marks, segments) => {
    await archive.clear();
    const waits: string[] = [];
    for (const [n, { open, local, archived }] of segments.entries()) {
      const id = await archive.segment('cam', n, { open, local, file: false });
      if (archived) await archive.db.updateTable('segments').set({ archived_at: T0 }).where('id', '=', id).execute();
      if (open === 0 && local === 1 && !archived && marks.some(([from, to]) => from < n + 1 && to > n)) waits.push(id);
    }
    for (const [from, to] of marks) await archive.mark('cam', from, to);
    await archive.mark('cam', 0, 800, 0);
    expect((await archive.store.waiting('', 1_000)).segments.map(({ id }) => id)).toEqual(waits);
    expect(await archive.store.countWaiting('')).toMatchObject({ segments: waits.length, bytes: waits.length * 1_000 });
  }), { numRuns: 25 });
});
