import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import fc from 'fast-check';
import { systemClock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import { DirectoryStore } from './directory-store.ts';
import { FileSource } from './file-source.ts';
import { bytesOf, objectStoreContract, sourceOf } from './testing/object-store-contract.ts';

let folder: string;
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'if-objects-')); });
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });
const NEVER = new AbortController().signal;
const store = (): DirectoryStore => new DirectoryStore(join(folder, 'archive'), systemClock);

describe('[REC-8] a directory', () => {
  objectStoreContract(() => Promise.resolve({ store: store(), partBytes: 1_000_000 }));

  test('takes a file of its own file system as it is, without a copy, and keeps it when the first name goes', async () => {
    const bytes = bytesOf(100_000);
    const path = join(folder, 'segment.mp4');
    writeFileSync(path, bytes);
    const { sha256 } = sourceOf(bytes);
    {
      await using source = await FileSource.open(path, bytes.length, sha256);
      await store().put('cam/a.mp4', source, {}, NEVER);
      await store().put('cam/a.mp4', source, {}, NEVER);
    }
    const stored = join(folder, 'archive', 'cam', 'a.mp4');
    expect(statSync(stored).ino).toBe(statSync(path).ino);
    expect(readdirSync(join(folder, 'archive', '.incoming'))).toEqual([]);
    rmSync(path);
    expect(readFileSync(stored).equals(bytes)).toBe(true);
  });

  test('a file that changed on disk is not taken', async () => {
    const bytes = bytesOf(100_000);
    const path = join(folder, 'segment.mp4');
    const { sha256 } = sourceOf(bytes);
    bytes[50_000] = (bytes[50_000] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    await using source = await FileSource.open(path, bytes.length, sha256);
    await expect(store().put('cam/a.mp4', source, {}, NEVER)).rejects.toMatchObject({ reason: 'CHECKSUM_MISMATCH' });
    expect(await store().head('cam/a.mp4', NEVER)).toBeUndefined();
    expect(readFileSync(path).equals(bytes)).toBe(true);
    await expect(FileSource.open(path, 7, sha256)).rejects.toMatchObject({ reason: 'SOURCE_CHANGED' });
    await expect(FileSource.open(`${path}x`, 7, sha256)).rejects.toMatchObject({ reason: 'SOURCE_GONE' });
  });

  test('what a killed process left without a name is removed once it is old', async () => {
    const incoming = join(folder, 'archive', '.incoming');
    mkdirSync(incoming, { recursive: true });
    writeFileSync(join(incoming, 'half'), 'half');
    utimesSync(join(incoming, 'half'), 1, 1);
    expect(await store().abortStale(Date.now() - 60_000, NEVER)).toBe(0);
    expect(await store().abortStale(Date.now() + 60_000, NEVER)).toBe(1);
    expect(readdirSync(incoming)).toEqual([]);
  });

  test('a place that cannot be written is unavailable, not a crash; a legal hold is refused', async () => {
    writeFileSync(join(folder, 'archive'), 'a file where the folder should be');
    await expect(store().put('a.mp4', sourceOf(bytesOf(10)), {}, NEVER)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(store().put('a.mp4', sourceOf(bytesOf(10)), { legalHold: true }, NEVER)).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
  });

  test('a directory that does not answer is given up, and asked by no more than two at a time', async () => {
    const clock = new FakeClock();
    const stuck = new DirectoryStore(join(folder, 'archive'), clock, 5_000);
    // A source that never gives a byte hangs no file operation; a rename that never returns does: stand in for it with a pipe nobody reads.
    const { execFileSync } = await import('node:child_process');
    mkdirSync(join(folder, 'archive'));
    for (const name of ['a.mp4', 'b.mp4']) execFileSync('mkfifo', [join(folder, 'archive', name)]);
    const reads = ['a.mp4', 'b.mp4'].map((key) => stuck.get(key, 0, 1, NEVER));
    const settled = Promise.allSettled(reads);
    clock.advance(5_000);
    expect((await settled).map((each) => each.status === 'rejected' && (each.reason as MediaError).code)).toEqual(['DEADLINE_EXCEEDED', 'DEADLINE_EXCEEDED']);
    await expect(stuck.head('c.mp4', NEVER)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    // It answers again: both hanging operations end, and the next one is asked.
    for (const name of ['a.mp4', 'b.mp4']) writeFileSync(join(folder, 'archive', name), 'x');
    await expect.poll(() => stuck.head('c.mp4', NEVER).then(() => 'answered', () => 'refused')).toBe('answered');
  });

  test('any text is a key that stays below the directory, or refused', async () => {
    await fc.assert(fc.asyncProperty(fc.oneof(fc.string(), fc.array(fc.constantFrom('.', '..', 'a', '/', 'b.mp4', '\0', '%2e'), { maxLength: 8 }).map((parts) => parts.join('/'))), async (key) => {
      try {
        await store().put(key, sourceOf(bytesOf(3)), {}, NEVER);
      } catch (error) {
        expect(error).toBeInstanceOf(MediaError);
      }
      expect(readdirSync(folder).filter((name) => name !== 'archive')).toEqual([]);
    }), { numRuns: 50 });
  });
});
