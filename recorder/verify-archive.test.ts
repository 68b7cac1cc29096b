import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MediaError } from '../core/errors.ts';
import type { ObjectStore } from '../platform/object-store/object-store.ts';
import { TestInstallation } from './integrity/testing-recordings.ts';
import type { SegmentRecord } from './port.ts';
import { verifyArchive } from './verify-archive.ts';
import type { VerifyArchiveOptions } from './verify-archive.ts';

let installation: TestInstallation;
let records: readonly SegmentRecord[];
beforeAll(async () => {
  installation = await TestInstallation.create();
  await using recorder = await installation.start();
  await recorder.record(12);
  await recorder.close();
  records = recorder.segments();
});
afterAll(() => installation[Symbol.asyncDispose]());

const down = (): never => { throw new MediaError('UNAVAILABLE', 'it is down', { reason: 'OBJECT_STORE_UNAVAILABLE' }); };

/** A store whose objects are the recorded files, that fails on demand and counts. */
const storeOf = ({ fails = () => false, gone = () => false }: { readonly fails?: (id: string) => boolean; readonly gone?: (id: string) => boolean } = {}) => {
  const state = { atOnce: 0, most: 0 };
  const store: Pick<ObjectStore, 'head' | 'get'> = {
    async head(id) {
      state.most = Math.max(state.most, ++state.atOnce);
      await new Promise((resolve) => { setTimeout(resolve, 1); });
      state.atOnce--;
      if (fails(id)) down();
      return gone(id) ? undefined : { key: id, size: (await readFile(installation.path(id))).length, modified: 0, sha256: undefined, locked: false };
    },
    get: async (id, start, end) => (await readFile(installation.path(id))).subarray(start, end),
  };
  return { state, store: store as ObjectStore };
};
const options = (store: ObjectStore, more: Partial<VerifyArchiveOptions> = {}): VerifyArchiveOptions => ({
  objects: store, keyOf: (id) => id, directory: installation.recordings, key: installation.key.public, again: (ids) => Promise.resolve(records.filter(({ id }) => ids.includes(id))), concurrency: 3, ...more,
});

test('[REC-10] objects are read as many at a time as asked for, and progress is told of each', async () => {
  const { state, store } = storeOf();
  const told: number[] = [];
  const report = await verifyArchive(records, options(store, { onProgress: ({ done, total }) => { expect(total).toBe(12); told.push(done); } }));
  expect(report).toMatchObject({ checked: 12, problems: [], unsigned: 0, unread: [] });
  expect(state.most).toBe(3);
  expect(told).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
});

test('[REC-10] what the store does not give is not judged, and said so; nothing else suffers', async () => {
  const unread = records.filter((_, i) => i % 4 === 1).map(({ id }) => id);
  const report = await verifyArchive(records, options(storeOf({ fails: (id) => unread.includes(id) }).store));
  expect(report).toMatchObject({ checked: 9, problems: [] });
  expect(report.unread.toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual(unread.map((id) => ({ id, error: 'it is down' })));
});

test('a store that gives nothing is not asked for everything', async () => {
  let asked = 0;
  await expect(verifyArchive(records, options(storeOf({ fails: () => { asked++; return true; } }).store))).rejects.toMatchObject({ reason: 'OBJECT_STORE_UNAVAILABLE' });
  expect(asked).toBeLessThan(records.length);
});

test('[REC-10] what left the archive meanwhile, because no mark wanted it, is not missed', async () => {
  const left = new Set(records.slice(0, 2).map(({ id }) => id));
  const lost = records[5]?.id ?? '';
  const report = await verifyArchive(records, options(storeOf({ gone: (id) => left.has(id) || id === lost }).store, { again: (ids) => Promise.resolve(records.filter(({ id }) => ids.includes(id) && !left.has(id))) }));
  expect(report).toMatchObject({ checked: 10, problems: [{ id: lost, kind: 'missing' }] });
});

test('[REC-10] what is not what its index says is looked at again, and stopping stops it', async () => {
  const { store } = storeOf();
  const wrong = records.map((record, i) => (i === 3 ? { ...record, sha256: 'f'.repeat(64) } : record));
  expect((await verifyArchive(wrong, options(store))).problems).toEqual([]); // the index was read while it was written
  expect((await verifyArchive(wrong, options(store, { again: (ids) => Promise.resolve(wrong.filter(({ id }) => ids.includes(id))) }))).problems).toMatchObject([{ id: records[3]?.id, kind: 'changed' }]);
  await expect(verifyArchive(records, options(store, { signal: AbortSignal.abort(new Error('enough')) }))).rejects.toThrow('enough');
});
