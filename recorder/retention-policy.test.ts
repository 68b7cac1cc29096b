import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { SegmentRecord } from './port.ts';
import { planRetention as planOf } from './retention-policy.ts';
import type { DiskState, RetentionLimits } from './retention-policy.ts';
import { SegmentInventory } from './segment-inventory.ts';

const NOW = 1_750_000_000_000;
const MB = 1 << 20;
const segment = (camera: string, ageSeconds: number, bytes = MB, open = false): SegmentRecord => ({
  id: `${camera}/${String(NOW - ageSeconds * 1000)}-s-0`, camera, sessionId: 's', epoch: 0, start: NOW - ageSeconds * 1000, duration: 10_000, bytes, sha256: open ? null : 'x', open, tracks: [], gapBefore: null,
});
/** One window for all cameras, unless `of` says otherwise; nothing kept. */
interface Limits extends Partial<RetentionLimits> {
  readonly windowMs: number;
  readonly minFreeBytes: number;
  readonly maxBytes: number | null;
}
const LIMITS: Limits = { windowMs: 900_000, minFreeBytes: 0, maxBytes: null };
const toLimits = (limits: Limits): RetentionLimits => ({ of: () => ({ windowMs: limits.windowMs, maxBytes: null }), isKept: () => false, ...limits });
const ROOM = { freeBytes: 100_000 * MB, expiredBytes: 0 };
const inventoryOf = (segments: readonly SegmentRecord[]): SegmentInventory => {
  const inventory = new SegmentInventory({ append: () => undefined });
  for (const each of segments) inventory.put(each);
  return inventory;
};
const planRetention = (segments: readonly SegmentRecord[], now: number, limits: Limits, disk: DiskState) => planOf(inventoryOf(segments), now, toLimits(limits), disk);
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
  expect(planRetention(list, NOW, limits, { freeBytes: 999 * MB, expiredBytes: MB })).toEqual({ expire: [], expireBytes: 0, pressure: true, neededBytes: 0 });
});

test('[REC-2] the last minute stays while only min_free_bytes is missed, but not when the disk is really full', () => {
  const [young, old] = [segment('a', 30), segment('a', 300)];
  const limits = { ...LIMITS, minFreeBytes: 1000 * MB };
  expect(ids(planRetention([young, old], NOW, limits, { freeBytes: 500 * MB, expiredBytes: 0 }))).toEqual([old.id]);
  expect(ids(planRetention([young, old], NOW, limits, { freeBytes: 0, expiredBytes: 0 }))).toEqual([old.id, young.id]);
});

test('[REC-2] whatever the numbers, what goes is closed, oldest first, and afterwards max_bytes holds or nothing closed is left', () => {
  const list = fc.uniqueArray(fc.tuple(fc.constantFrom('a', 'b'), fc.integer({ min: 11, max: 2_000 }), fc.integer({ min: 1, max: 20 }), fc.boolean()), { maxLength: 30, selector: ([, age]) => age })
    .map((all) => all.map(([camera, age, mb, open]) => segment(camera, age, mb * MB, open)));
  fc.assert(fc.property(list, fc.integer({ min: 1, max: 200 }), fc.integer({ min: 0, max: 500 }), (segments, maxMb, freeMb) => {
    const { expire } = planRetention(segments, NOW, { windowMs: 900_000, minFreeBytes: 300 * MB, maxBytes: maxMb * MB }, { freeBytes: freeMb * MB, expiredBytes: 0 });
    expect(expire.every(({ open }) => !open)).toBe(true);
    expect(expire.map(({ start }) => start)).toEqual(expire.map(({ start }) => start).sort((a, b) => a - b));
    const kept = segments.filter((s) => !expire.includes(s));
    expect(kept.reduce((sum, { bytes }) => sum + bytes, 0) <= maxMb * MB || kept.every(({ open }) => open)).toBe(true);
  }));
});

test('[REC-2] to look only at the oldest gives what looking at all of them does', () => {
  const list = fc.uniqueArray(fc.record({
    camera: fc.constantFrom('a', 'b', 'c'), age: fc.integer({ min: -100, max: 2_000 }), mb: fc.integer({ min: 0, max: 20 }), open: fc.boolean(),
    seconds: fc.oneof(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 100, max: 100_000 })), // a camera without key frames, a damaged duration
  }), { maxLength: 40, selector: ({ age }) => age }).map((all) => all.map(({ camera, age, mb, open, seconds }) => ({ ...segment(camera, age, mb * MB, open), duration: seconds * 1000 })));
  const mb = (max: number) => fc.integer({ min: 0, max }).map((n) => n * MB);
  const own = fc.record({ windowMs: fc.constantFrom(0, 30_000, 900_000), maxBytes: fc.option(mb(60)) });
  const limits = fc.record({ minFreeBytes: mb(300), maxBytes: fc.option(mb(200)), cameras: fc.record({ a: own, b: own, c: own }), keptAges: fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 8 }) })
    .map(({ cameras, keptAges, ...rest }): RetentionLimits => ({ ...rest, of: (camera) => cameras[camera as 'a'], isKept: ({ start }) => keptAges.includes(Math.round((NOW - start) / 10_000)) }));
  fc.assert(fc.property(list, limits, fc.record({ freeBytes: mb(400), expiredBytes: mb(50) }), (segments, given, disk) => {
    const plan = planOf(inventoryOf(segments), NOW, given, disk);
    expect(ids(plan)).toEqual(planOfAll(segments, given, disk));
    expect(plan.expire.some(given.isKept)).toBe(false);
    expect(plan.expireBytes).toBe(plan.expire.reduce((sum, { bytes }) => sum + bytes, 0));
  }), { numRuns: 1000 });
});

/** The rule itself, segment by segment. */
const planOfAll = (segments: readonly SegmentRecord[], { of, isKept, minFreeBytes, maxBytes }: RetentionLimits, disk: DiskState): string[] => {
  const oldestFirst = [...segments].sort((a, b) => a.start - b.start);
  const sum = (some: readonly SegmentRecord[]): number => some.reduce((bytes, segment) => bytes + segment.bytes, 0);
  const expired: SegmentRecord[] = [];
  const left = (): SegmentRecord[] => oldestFirst.filter((segment) => !expired.includes(segment));
  for (const segment of oldestFirst.filter((each) => !each.open && !isKept(each))) {
    const { windowMs, maxBytes: most } = of(segment.camera);
    if (NOW - segment.start - segment.duration > windowMs || (most !== null && sum(left().filter(({ camera }) => camera === segment.camera)) > most)) expired.push(segment);
  }
  for (const segment of left().filter((each) => !each.open && !isKept(each))) {
    const free = disk.freeBytes + disk.expiredBytes + sum(expired);
    const age = NOW - segment.start - segment.duration;
    const tooFull = free < minFreeBytes && (age > 60_000 || free < Math.min(minFreeBytes, 64 * MB));
    if ((maxBytes !== null && sum(left()) > maxBytes) || tooFull) expired.push(segment);
  }
  return expired.sort((a, b) => a.start - b.start).map(({ id }) => id);
};

test('[REC-2] each camera has its own window and bytes', () => {
  const list = [segment('short', 100), segment('long', 1_000), segment('small', 300), segment('small', 200), segment('small', 100)];
  const of = (camera: string) => ({ windowMs: camera === 'short' ? 60_000 : 3_600_000, maxBytes: camera === 'small' ? 2 * MB : null });
  expect(ids(planRetention(list, NOW, { ...LIMITS, of }, ROOM)).sort()).toEqual([list[0]?.id, list[2]?.id].sort());
});

test('[REC-2] what is kept goes neither for its age, nor for max_bytes, nor for the disk; what is not goes in its stead', () => {
  const [kept, young, younger] = [segment('a', 5_000), segment('a', 200), segment('b', 100)];
  const limits = { ...LIMITS, maxBytes: 2 * MB, isKept: ({ id }: SegmentRecord) => id === kept.id };
  expect(ids(planRetention([kept, young, younger], NOW, limits, ROOM))).toEqual([young.id]);
  expect(ids(planRetention([kept, young, younger], NOW, { ...limits, maxBytes: null, minFreeBytes: 100 * MB }, { freeBytes: 0, expiredBytes: 0 }))).toEqual([young.id, younger.id]);
});

test('[REC-2] a sweep over a day of eight cameras looks at what goes and the few that reach into the window', () => {
  const inventory = inventoryOf(Array.from({ length: 8 }, (_, c) => Array.from({ length: 8_640 }, (_, i) => segment(`cam${String(c)}`, 86_415 - i * 10 - c))).flat());
  let looked = 0;
  const counted = {
    totalBytes: inventory.totalBytes,
    cameras: () => inventory.cameras(),
    bytesOf: (camera: string) => inventory.bytesOf(camera),
    *oldestOf(camera: string) {
      for (const each of inventory.oldestOf(camera)) {
        looked++;
        yield each;
      }
    },
    *oldestFirst() {
      for (const each of inventory.oldestFirst()) {
        looked++;
        yield each;
      }
    },
  };
  const { expire } = planOf(counted, NOW, toLimits({ ...LIMITS, windowMs: 86_400_000 }), ROOM);
  expect([expire.length, looked]).toEqual([5, 22]); // of each camera those that go, the one that reaches into the window and the first within it; of all the oldest
});
