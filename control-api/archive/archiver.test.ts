import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MediaError } from '../../core/errors.ts';
import type { ObjectStore } from '../../platform/object-store/object-store.ts';
import { archiveKey } from './keys.ts';
import { T0, startArchive } from '../testing/archive.ts';

/** A store that fails, hangs or counts on demand. */
const unreliable = (store: ObjectStore) => {
  const state = { error: undefined as Error | undefined, hang: false, puts: [] as string[], atOnce: 0, most: 0 };
  const wrapped: ObjectStore = {
    place: store.place, holds: true,
    async put(key, source, options, signal) {
      state.puts.push(key);
      state.most = Math.max(state.most, ++state.atOnce);
      try {
        if (state.error) throw state.error;
        if (state.hang) await new Promise((_, reject) => { signal.addEventListener('abort', () => { reject(signal.reason as Error); }); });
        await new Promise((resolve) => { setTimeout(resolve, 2); });
        await store.put(key, source, { ...options, legalHold: false }, signal);
      } finally {
        state.atOnce--;
      }
    },
    get: (...args) => store.get(...args), head: (...args) => store.head(...args), list: (...args) => store.list(...args), delete: (...args) => store.delete(...args), abortStale: (...args) => store.abortStale(...args),
    [Symbol.dispose]: () => undefined,
  };
  return { state, wrapped };
};

test('[REC-8] what a mark for the archive covers goes there, whole segments, and nothing else does', async () => {
  await using archive = await startArchive();
  const ids = await Promise.all([0, 1, 2, 3, 4].map((n) => archive.segment('cam', n)));
  const open = await archive.segment('cam', 5, { open: 1 });
  await archive.segment('other', 2);
  await archive.mark('cam', 1.5, 3.2);
  await archive.mark('cam', 3, 6);
  await archive.mark('other', 0, 5, 0);
  await using archiver = archive.archiver();
  archiver.start();
  await expect.poll(() => archive.archived()).toEqual(ids.slice(1));
  for (const id of ids.slice(1)) {
    const key = archiveKey(id) ?? '';
    expect(key).toBe(`cam/2025/06/15/15/${id.slice(4)}.mp4`);
    expect(readFileSync(join(archive.folder, 'archive', key)).equals(readFileSync(archive.pathOf(id)))).toBe(true);
  }
  expect((await archive.metrics.archivedSegments.get()).values[0]?.value).toBe(4);
  expect((await archive.metrics.archivedBytes.get()).values[0]?.value).toBe(4_000);
  // It closes later, and goes then.
  await archive.db.updateTable('segments').set({ open: 0, sha256: (await archive.db.selectFrom('segments').select('sha256').where('id', '=', ids[0] ?? '').executeTakeFirst())?.sha256 ?? null }).where('id', '=', open).execute();
  writeFileSync(archive.pathOf(open), readFileSync(archive.pathOf(ids[0] ?? '')));
  await expect.poll(() => archive.archived()).toContain(open);
});

test('[REC-8] many marks and many segments all go, at most as many at a time as configured, each once', async () => {
  await using archive = await startArchive();
  const ids = await Promise.all(Array.from({ length: 200 }, (_, n) => archive.segment('cam', n, { bytes: 10 })));
  for (let n = 0; n < 600; n++) await archive.mark('cam', n / 3, n / 3 + 0.5);
  const { state, wrapped } = unreliable(archive.objects);
  await using archiver = archive.archiver({ objects: wrapped, concurrency: 4 });
  archiver.start();
  await expect.poll(async () => (await archive.archived()).length, { timeout: 15_000 }).toBe(ids.length);
  expect(state.most).toBe(4);
  expect(state.puts.toSorted()).toEqual(ids.map((id) => archiveKey(id)).toSorted());
});

test('[REC-8] an outage raises an alarm, loses nothing, and is over when the store is back', async () => {
  await using archive = await startArchive();
  const ids = await Promise.all([0, 1, 2].map((n) => archive.segment('cam', n)));
  await archive.mark('cam', 0, 3);
  const { state, wrapped } = unreliable(archive.objects);
  state.error = new MediaError('UNAVAILABLE', 'connect ECONNREFUSED', { reason: 'OBJECT_STORE_UNAVAILABLE' });
  await using archiver = archive.archiver({ objects: wrapped });
  archiver.start();
  await expect.poll(() => archive.raised()).toEqual(['archive_unavailable']);
  expect(await archive.archived()).toEqual([]);
  await expect.poll(async () => (await archive.metrics.archiveWaitingSegments.get()).values[0]?.value).toBe(3);
  expect((await archive.metrics.archiveFailures.get()).values.map(({ labels }) => labels.reason)).toEqual(['OBJECT_STORE_UNAVAILABLE']);
  state.error = undefined;
  await expect.poll(() => archive.archived()).toEqual(ids);
  await expect.poll(() => archive.raised()).toEqual([]);
});

test('[REC-8] a store that is down is left alone after three attempts, however much waits', async () => {
  await using archive = await startArchive();
  for (let n = 0; n < 50; n++) await archive.segment('cam', n, { bytes: 10 });
  await archive.mark('cam', 0, 50);
  const { state, wrapped } = unreliable(archive.objects);
  state.error = new MediaError('UNAVAILABLE', 'down', { reason: 'OBJECT_STORE_UNAVAILABLE' });
  await using archiver = archive.archiver({ objects: wrapped, backoffMs: 60_000, maxBackoffMs: 60_000, concurrency: 1, alarmAfter: 60_000 });
  archiver.start();
  await expect.poll(() => state.puts.length).toBe(3);
  await new Promise((resolve) => { setTimeout(resolve, 200); });
  expect(state.puts.length).toBe(3);
});

test('[REC-8] a file that is not what was recorded is told, and holds up no other', async () => {
  await using archive = await startArchive();
  const changed = await archive.segment('cam', 0);
  const gone = await archive.segment('cam', 1);
  const longer = await archive.segment('cam', 2);
  const good = await archive.segment('cam', 3);
  await archive.mark('cam', 0, 4);
  writeFileSync(archive.pathOf(changed), Buffer.alloc(1_000, 'x'));
  rmSync(archive.pathOf(gone));
  writeFileSync(archive.pathOf(longer), Buffer.alloc(1_001, 'x'));
  await using archiver = archive.archiver({ concurrency: 1 });
  archiver.start();
  await expect.poll(() => archive.archived()).toEqual([good]);
  await expect.poll(async () => (await archive.db.selectFrom('alarms').select(['id', 'code', 'camera_id']).orderBy('id').execute())).toEqual([
    { id: `archive-${changed}`, code: 'archive_damaged', camera_id: 'cam' }, { id: `archive-${longer}`, code: 'archive_damaged', camera_id: 'cam' },
  ]);
  expect(existsSync(join(archive.folder, 'archive', archiveKey(changed) ?? ''))).toBe(false);
});

test('[REC-8] stopped in the middle of an upload it ends at once, and the next one goes on', async () => {
  await using archive = await startArchive();
  const id = await archive.segment('cam', 0);
  await archive.mark('cam', 0, 1);
  const { state, wrapped } = unreliable(archive.objects);
  state.hang = true;
  {
    await using archiver = archive.archiver({ objects: wrapped });
    archiver.start();
    await expect.poll(() => state.atOnce).toBe(1);
    expect(archiver.uploading).toBe(1);
  }
  expect(state.atOnce).toBe(0);
  expect(await archive.archived()).toEqual([]);
  expect(await archive.raised()).toEqual([]);
  await using next = archive.archiver();
  next.start();
  await expect.poll(() => archive.archived()).toEqual([id]);
});

test('[REC-8] a segment that retention gave up while it was sent is listed again: it can be read from the archive', async () => {
  await using archive = await startArchive();
  const id = await archive.segment('cam', 0);
  await archive.db.updateTable('segments').set({ expired_at: T0 }).where('id', '=', id).execute();
  await archive.store.setArchived(id, T0 + 5);
  expect(await archive.db.selectFrom('segments').select(['archived_at', 'expired_at', 'local']).executeTakeFirst()).toEqual({ archived_at: T0 + 5, expired_at: null, local: 0 });
});
