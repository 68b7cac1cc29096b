/** What every `ObjectStore` keeps to; run on each of them. */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { MediaError } from '../../../core/errors.ts';
import type { ObjectSource, ObjectStore } from '../object-store.ts';

export interface StoreUnderTest {
  /** Empty, for this test alone. */
  readonly store: ObjectStore;
  /** Objects longer than this go in parts. */
  readonly partBytes: number;
}

const NEVER = new AbortController().signal;

/** Bytes that differ everywhere. */
export const bytesOf = (length: number, seed = 1): Buffer => {
  const bytes = Buffer.alloc(length);
  for (let i = 0, x = seed; i < length; i++) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = x >>> 24;
  }
  return bytes;
};

/** A source in memory; `onRead` sees what is asked of it. */
export const sourceOf = (bytes: Buffer, more: { readonly sha256?: string; readonly path?: string; readonly onRead?: (start: number, end: number) => void } = {}): ObjectSource => ({
  size: bytes.length,
  sha256: more.sha256 ?? createHash('sha256').update(bytes).digest('hex'),
  ...(more.path === undefined ? {} : { path: more.path }),
  async *read(start, end, signal) {
    for (let at = start; at < end; at += 256 << 10) {
      await Promise.resolve();
      signal.throwIfAborted();
      const piece = bytes.subarray(at, Math.min(end, at + (256 << 10)));
      more.onRead?.(at, at + piece.length);
      yield piece;
    }
  },
});

const everything = async (store: ObjectStore, prefix: string): Promise<string[]> => {
  const keys: string[] = [];
  for (let after: string | undefined; ;) {
    const page = await store.list(prefix, after, NEVER);
    keys.push(...page.items.map(({ key }) => key));
    if (page.next === undefined) return keys;
    after = page.next;
  }
};

export const objectStoreContract = (fresh: () => Promise<StoreUnderTest>): void => {
  test('what is put is what is read, in any range; a longer one than there is is refused', async () => {
    const { store } = await fresh();
    const bytes = bytesOf(300_000);
    await store.put('cam/2026/01/02/03/a.mp4', sourceOf(bytes), {}, NEVER);
    const head = await store.head('cam/2026/01/02/03/a.mp4', NEVER);
    expect(head).toMatchObject({ key: 'cam/2026/01/02/03/a.mp4', size: bytes.length, locked: false });
    expect([undefined, createHash('sha256').update(bytes).digest('hex')]).toContain(head?.sha256);
    for (const [start, end] of [[0, 1], [0, 300_000], [299_999, 300_000], [1_000, 200_000]] as const) {
      expect((await store.get('cam/2026/01/02/03/a.mp4', start, end, NEVER)).equals(bytes.subarray(start, end))).toBe(true);
    }
    await expect(store.get('cam/2026/01/02/03/a.mp4', 299_999, 300_001, NEVER)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(store.get('cam/2026/01/02/03/a.mp4', 300_001, 300_002, NEVER)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('an object in several parts is whole', async () => {
    const { store, partBytes } = await fresh();
    const bytes = bytesOf(partBytes * 2 + 12_345);
    await store.put('big.mp4', sourceOf(bytes), {}, NEVER);
    expect(await store.head('big.mp4', NEVER)).toMatchObject({ size: bytes.length });
    for (const start of [0, partBytes - 10, partBytes * 2 - 10]) expect((await store.get('big.mp4', start, start + 20, NEVER)).equals(bytes.subarray(start, start + 20))).toBe(true);
  });

  test('bytes that are not those of the checksum are never an object, in one part or in several', async () => {
    const { store, partBytes } = await fresh();
    for (const [key, size] of [['small.mp4', 1_000], ['large.mp4', partBytes + 1_000]] as const) {
      await expect(store.put(key, sourceOf(bytesOf(size), { sha256: 'ab'.repeat(32) }), {}, NEVER)).rejects.toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'CHECKSUM_MISMATCH' });
      expect(await store.head(key, NEVER)).toBeUndefined();
    }
    expect(await everything(store, '')).toEqual([]);
  });

  test('put twice is one object; a new content takes the place of the old', async () => {
    const { store } = await fresh();
    await store.put('a.mp4', sourceOf(bytesOf(1_000)), {}, NEVER);
    await store.put('a.mp4', sourceOf(bytesOf(1_000)), {}, NEVER);
    await store.put('a.mp4', sourceOf(bytesOf(500, 2)), {}, NEVER);
    expect(await everything(store, '')).toEqual(['a.mp4']);
    expect((await store.get('a.mp4', 0, 500, NEVER)).equals(bytesOf(500, 2))).toBe(true);
  });

  test('lists keys in their order, below a prefix, page by page', async () => {
    const { store } = await fresh();
    const keys = ['a-b/1.mp4', 'a/2.mp4', 'a/b/3.mp4', 'a/b.mp4', 'b/4.mp4', 'ab.mp4'];
    for (const key of keys) await store.put(key, sourceOf(bytesOf(10)), {}, NEVER);
    expect(await everything(store, '')).toEqual([...keys].sort());
    expect(await everything(store, 'a/')).toEqual(['a/2.mp4', 'a/b.mp4', 'a/b/3.mp4']);
    expect(await everything(store, 'a/b')).toEqual(['a/b.mp4', 'a/b/3.mp4']);
    expect((await store.list('', 'a/b.mp4', NEVER)).items.map(({ key }) => key)).toEqual(['a/b/3.mp4', 'ab.mp4', 'b/4.mp4']);
    expect(await everything(store, 'none/')).toEqual([]);
  });

  test('more objects than fit a page are listed once each', async () => {
    const { store } = await fresh();
    const keys = Array.from({ length: 1_003 }, (_, i) => `many/${String(i).padStart(5, '0')}.mp4`);
    for (let i = 0; i < keys.length; i += 16) await Promise.all(keys.slice(i, i + 16).map((key) => store.put(key, sourceOf(bytesOf(1)), {}, NEVER)));
    expect(await everything(store, 'many/')).toEqual(keys);
  });

  test('what is deleted is gone, and deleting it again is no failure', async () => {
    const { store } = await fresh();
    await store.put('a/b/c.mp4', sourceOf(bytesOf(10)), {}, NEVER);
    await store.delete('a/b/c.mp4', NEVER);
    await store.delete('a/b/c.mp4', NEVER);
    expect(await store.head('a/b/c.mp4', NEVER)).toBeUndefined();
    await expect(store.get('a/b/c.mp4', 0, 1, NEVER)).rejects.toMatchObject({ code: 'NOT_FOUND', reason: 'OBJECT_NOT_FOUND' });
    expect(await everything(store, '')).toEqual([]);
  });

  test('no key leads elsewhere, and none that is refused is asked of the store', async () => {
    const { store } = await fresh();
    for (const key of ['', '/a', 'a/', 'a//b', '../a', 'a/../b', '.hidden', 'a/.b', 'a b', 'a\\b', 'ä', 'a'.repeat(600)]) {
      await expect(store.put(key, sourceOf(bytesOf(1)), {}, NEVER)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      await expect(store.get(key, 0, 1, NEVER)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      await expect(store.delete(key, NEVER)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
    expect(await everything(store, '')).toEqual([]);
  });

  test('an upload that is broken off leaves no object, and the next one succeeds', async () => {
    const { store, partBytes } = await fresh();
    const bytes = bytesOf(partBytes * 2 + 1_000);
    const stop = new AbortController();
    const broken = store.put('a.mp4', sourceOf(bytes, { onRead: (start) => { if (start > partBytes * 1.5) stop.abort(new Error('enough')); } }), {}, stop.signal);
    await expect(broken).rejects.toThrow('enough');
    expect(await store.head('a.mp4', NEVER)).toBeUndefined();
    await store.put('a.mp4', sourceOf(bytes), {}, NEVER);
    expect((await store.get('a.mp4', partBytes, partBytes + 1_000, NEVER)).equals(bytes.subarray(partBytes, partBytes + 1_000))).toBe(true);
  });

  test('a source that cannot be read to its end is told as it says, at once, and leaves no object', async () => {
    const { store, partBytes } = await fresh();
    for (const size of [600_000, partBytes + 600_000]) {
      const source = sourceOf(bytesOf(size), { onRead: (start) => { if (start > size - 300_000) throw new MediaError('FAILED_PRECONDITION', 'a bad sector', { reason: 'SOURCE_UNREADABLE' }); } });
      await expect(store.put('a.mp4', source, {}, NEVER)).rejects.toMatchObject({ reason: 'SOURCE_UNREADABLE' });
      expect(await store.head('a.mp4', NEVER)).toBeUndefined();
    }
  });

  test('every piece waits for its turn', async () => {
    const { store, partBytes } = await fresh();
    let asked = 0;
    const pace = (bytes: number): Promise<void> => { asked += bytes; return Promise.resolve(); };
    await store.put('a.mp4', sourceOf(bytesOf(1_000_000)), { pace }, NEVER);
    expect(asked).toBe(1_000_000);
    await store.put('b.mp4', sourceOf(bytesOf(partBytes + 1)), { pace }, NEVER);
    expect(asked).toBe(1_000_000 + partBytes + 1);
  });
};
