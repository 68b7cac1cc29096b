import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import fc from 'fast-check';
import { systemClock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import { DirectoryStore } from '../../platform/object-store/directory-store.ts';
import type { ObjectStore } from '../../platform/object-store/object-store.ts';
import { sourceOf } from '../../platform/object-store/testing/object-store-contract.ts';
import type { SegmentRecord } from '../../recorder/port.ts';
import { LocalSegments } from '../../recorder/segment-file.ts';
import { ArchivedSegments } from './archived-segments.ts';

const ID = 'cam/1750000000000-session1-1';
const KEY = 'cam/2025/06/15/15/1750000000000-session1-1.mp4';
const NEVER = new AbortController().signal;
const bytes = randomBytes(500_000);
const record: SegmentRecord = { id: ID, camera: 'cam', sessionId: 's', epoch: 1, start: 1_750_000_000_000, duration: 10_000, bytes: bytes.length, sha256: 'x', open: false, tracks: [], gapBefore: null };

let folder: string;
let objects: DirectoryStore;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'if-archived-'));
  objects = new DirectoryStore(join(folder, 'archive'), systemClock);
});
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });
const segments = (store: ObjectStore = objects): ArchivedSegments => new ArchivedSegments(new LocalSegments(join(folder, 'recordings')), store);

test('[REC-8] any read of an archived segment gives what the file would give, with few requests', async () => {
  await objects.put(KEY, sourceOf(bytes), {}, NEVER);
  let requests = 0;
  const counted = Object.assign(Object.create(objects) as ObjectStore, { get: (...args: Parameters<ObjectStore['get']>) => { requests++; return objects.get(...args); } });
  await fc.assert(fc.asyncProperty(fc.array(fc.tuple(fc.nat(520_000), fc.integer({ min: 0, max: 200_000 })), { maxLength: 10 }), async (reads) => {
    await using file = await segments(counted).open(record);
    for (const [position, length] of reads) expect((await file.read(position, length)).equals(bytes.subarray(position, position + length))).toBe(true);
  }));
  requests = 0;
  await using file = await segments(counted).open(record);
  // As an index is read: the tail, then the head box by box.
  await file.read(bytes.length - 32_768, 32_768);
  for (let at = 0; at < 20_000; at += 4_096) await file.read(at, 4_096);
  await file.read(bytes.length - 40_000, 20_000);
  expect(requests).toBe(2);
});

test('what a reader does with its buffer changes nothing', async () => {
  await objects.put(KEY, sourceOf(bytes), {}, NEVER);
  await using file = await segments().open(record);
  (await file.read(0, 100)).fill(0);
  expect((await file.read(0, 100)).equals(bytes.subarray(0, 100))).toBe(true);
});

test('a local file comes first; what is nowhere is not found; an open segment is never asked of the archive', async () => {
  mkdirSync(join(folder, 'recordings', 'cam'), { recursive: true });
  await expect(segments().open(record)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await objects.put(KEY, sourceOf(bytes), {}, NEVER);
  await expect(segments().open({ ...record, open: true })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  writeFileSync(join(folder, 'recordings', `${ID}.mp4`), 'local');
  await using file = await segments().open(record);
  expect((await file.read(0, 5)).toString()).toBe('local');
});

test('an archive that cannot be asked is unavailable, whatever its reason', async () => {
  const denied = Object.assign(Object.create(objects) as ObjectStore, { get: () => Promise.reject(new MediaError('PERMISSION_DENIED', 'who are you?')) });
  await expect(segments(denied).open(record)).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'ARCHIVE_UNAVAILABLE' });
});
