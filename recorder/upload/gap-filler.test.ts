import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { AccessUnit } from '../../core/access-unit.ts';
import { GapFiller } from './gap-filler.ts';
import type { UploadedUnit } from './gap-filler.ts';
import type { WallRange } from './ranges.ts';

const FRAME = 40;
const unitAt = (wall: number, randomAccess: boolean, kind: 'video' | 'audio' = 'video'): UploadedUnit => {
  const unit: AccessUnit = {
    kind, frame: { stream: 'cam', epoch: 0, rtpTs: 0, captureNtp: null, seq: 0 }, pts: wall * 90, dts: wall * 90, wall, arrivedAt: 0, randomAccess, data: Buffer.alloc(1), byteLength: 1,
    tracks: { video: null, audio: null },
  };
  return { unit, duration: FRAME };
};
const video = (pictures: number, gop: number): UploadedUnit[] => Array.from({ length: pictures }, (_, i) => unitAt(i * FRAME, i % gop === 0));
const takenOf = (free: readonly WallRange[], units: readonly UploadedUnit[]) => {
  const filler = new GapFiller(free);
  return units.flatMap((each) => {
    const decision = filler.decide(each);
    return decision.take === 'skip' ? [] : [{ wall: each.unit.wall, randomAccess: each.unit.randomAccess, ...decision }];
  });
};

test('[SD-52] of a range without recording everything from its first random access picture on is taken', () => {
  const taken = takenOf([{ from: 100, to: 1_000 }], video(50, 5));
  expect(taken[0]).toMatchObject({ wall: 200, take: 'begin' });
  expect(taken.at(-1)?.wall).toBe(960);
  expect(taken).toHaveLength(20);
});

test('[SD-52] a range that ends before its first random access picture gets nothing; sound goes with pictures alone', () => {
  expect(takenOf([{ from: 10, to: 190 }], video(50, 5))).toEqual([]);
  const units = [unitAt(0, true, 'audio'), unitAt(200, true), unitAt(200, true, 'audio'), unitAt(900, true, 'audio')];
  expect(takenOf([{ from: 100, to: 900 }], units).map(({ wall }) => wall)).toEqual([200, 200]);
});

test('[SD-52] pictures shown before the random access picture a range begins with are left out', () => {
  expect(takenOf([{ from: 180, to: 900 }], [unitAt(200, true), unitAt(120, false), unitAt(160, false), unitAt(240, false)]).map(({ wall }) => wall)).toEqual([200, 240]);
});

test('[SD-52] nothing is taken outside of free ranges, each run begins with a random access picture, and a second time nothing is taken of what was', () => {
  const gaps = fc.array(fc.tuple(fc.integer({ min: 0, max: 600 }), fc.integer({ min: 50, max: 900 })), { maxLength: 6 }).map((all) => {
    let position = 0;
    return all.map(([pause, length]) => {
      const from = position + pause + 1;
      position = from + length;
      return { from, to: position };
    });
  });
  fc.assert(fc.property(gaps, fc.integer({ min: 1, max: 30 }), (free, gop) => {
    const taken = takenOf(free, video(120, gop));
    for (const { wall, range } of taken) {
      expect(wall).toBeGreaterThanOrEqual(range.from - 0.5);
      expect(wall + FRAME).toBeLessThanOrEqual(range.to + 0.5);
    }
    expect(new Set(taken.map(({ wall }) => wall)).size).toBe(taken.length);
    expect(taken.filter(({ take }) => take === 'begin').every(({ randomAccess }) => randomAccess)).toBe(true);
    // What is left of each range is before its first and behind its last picture.
    const left = free.flatMap((range) => {
      const mine = taken.filter((each) => each.range === range);
      const [first, last] = [mine[0], mine.at(-1)];
      return first && last ? [{ from: range.from, to: first.wall }, { from: last.wall + FRAME, to: range.to }] : [range];
    }).filter(({ from, to }) => to - from >= 50);
    expect(takenOf(left, video(120, gop))).toEqual([]);
  }));
});
