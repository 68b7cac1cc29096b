import fc from 'fast-check';
import { expect, test } from 'vitest';
import { planRetention } from './retention-policy.ts';
import type { SegmentRecord } from './port.ts';

const NOW = 1_750_000_000_000;
const MB = 1 << 20;
const segment = (camera: string, ageSeconds: number, bytes = MB, open = false): SegmentRecord => ({
  id: `${camera}/${String(NOW - ageSeconds * 1000)}-s-0`, camera, sessionId: 's', epoch: 0, start: NOW - ageSeconds * 1000, duration: 10_000, bytes, sha256: open ? null : 'x', open, tracks: [], gapBefore: null,
});
const LIMITS = { windowMs: 900_000, minFreeBytes: 0, maxBytes: null };
const ROOM = { freeBytes: 100_000 * MB, expiredBytes: 0 };
const ids = (plan: { readonly expire: readonly SegmentRecord[] }): string[] => plan.expire.map(({ id }) => id);

test('[REC-2] what ended before the window goes, what reaches into it stays', () => {
  const old = segment('a', 911);
  expect(ids(planRetention([segment('a', 905), old, segment('b', 20)], NOW, LIMITS, ROOM))).toEqual([old.id]);
});

test('[REC-2] over max_bytes the oldest of all cameras goes first, and no more than needed', () => {
  const [a, b, c] = [segment('a', 300), segment('b', 200), segment('a', 100)];
  expect(ids(planRetention([c, a, b], NOW, { ...LIMITS, maxBytes: 2 * MB }, ROOM))).toEqual([a.id]);
});

test('[REC-2] an open segment counts but never goes', () => {
  const open = segment('a', 2_000, 10 * MB, true);
  const other = segment('b', 100);
  expect(ids(planRetention([open, other], NOW, { ...LIMITS, maxBytes: 5 * MB }, ROOM))).toEqual([other.id]);
});

test('[REC-2] to keep the disk free the oldest goes; what is expired already counts as free', () => {
  const list = [segment('a', 300), segment('a', 200), segment('a', 100)];
  const limits = { ...LIMITS, minFreeBytes: 1000 * MB };
  expect(ids(planRetention(list, NOW, limits, { freeBytes: 999 * MB, expiredBytes: 0 }))).toEqual([list[0]?.id]);
  expect(planRetention(list, NOW, limits, { freeBytes: 999 * MB, expiredBytes: MB })).toEqual({ expire: [], pressure: true });
});

test('[REC-2] the last minute stays while only min_free_bytes is missed, but not when the disk is really full', () => {
  const [young, old] = [segment('a', 30), segment('a', 300)];
  const limits = { ...LIMITS, minFreeBytes: 1000 * MB };
  expect(ids(planRetention([young, old], NOW, limits, { freeBytes: 500 * MB, expiredBytes: 0 }))).toEqual([old.id]);
  expect(ids(planRetention([young, old], NOW, limits, { freeBytes: 0, expiredBytes: 0 }))).toEqual([old.id, young.id]);
});

test('[REC-2] whatever the numbers, what goes is closed, oldest first, and afterwards max_bytes holds or nothing closed is left', () => {
  const list = fc.array(fc.tuple(fc.constantFrom('a', 'b'), fc.integer({ min: 11, max: 2_000 }), fc.integer({ min: 1, max: 20 }), fc.boolean()), { maxLength: 30 })
    .map((all) => all.map(([camera, age, mb, open]) => segment(camera, age, mb * MB, open)));
  fc.assert(fc.property(list, fc.integer({ min: 1, max: 200 }), fc.integer({ min: 0, max: 500 }), (segments, maxMb, freeMb) => {
    const { expire } = planRetention(segments, NOW, { windowMs: 900_000, minFreeBytes: 300 * MB, maxBytes: maxMb * MB }, { freeBytes: freeMb * MB, expiredBytes: 0 });
    expect(expire.every(({ open }) => !open)).toBe(true);
    expect(expire.map(({ start }) => start)).toEqual(expire.map(({ start }) => start).sort((a, b) => a - b));
    const kept = segments.filter((s) => !expire.includes(s));
    expect(kept.reduce((sum, { bytes }) => sum + bytes, 0) <= maxMb * MB || kept.every(({ open }) => open)).toBe(true);
  }));
});
