import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DecodeTimes } from './decode-times.ts';

const decodeTimes = (depth: number, pts: readonly number[]): number[] => {
  const times = new DecodeTimes();
  times.restart(depth);
  return pts.map((time) => times.next(time));
};

describe('decode times', () => {
  test('are the presentation times where nothing is reordered', () => {
    expect(decodeTimes(0, [0, 3_000, 6_100, 9_000])).toEqual([0, 3_000, 6_100, 9_000]);
  });

  test('of reordered pictures are the sorted presentation times, shifted by the depth', () => {
    // I4 B2 B1 B3 as x264 orders them: the same as ffmpeg's demuxer gives for the fixture vtest-720p30-bframes
    expect(decodeTimes(2, [0, 12_000, 6_000, 3_000, 9_000, 24_000, 18_000, 15_000])).toEqual([-6_000, -3_000, 0, 3_000, 6_000, 9_000, 12_000, 15_000]);
  });

  test('increase strictly across a restart, a repeated and a returning presentation time', () => {
    const times = new DecodeTimes();
    times.restart(0);
    const seen = [times.next(100), times.next(100), times.next(50)];
    times.restart(2);
    seen.push(times.next(3_100), times.next(9_100), times.next(6_100), times.next(12_100));
    expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b));
  });

  test('adapt to a stream that reorders deeper than it says', () => {
    const times = new DecodeTimes();
    times.restart(0);
    const group = [4, 2, 1, 3];
    const late: number[] = [];
    for (let i = 0; i < 40; i++) {
      const pts = (Math.floor(i / 4) * 4 + (group[i % 4] ?? 0)) * 3_000;
      if (times.next(pts) > pts) late.push(i);
    }
    expect(times.depth).toBeLessThanOrEqual(3);
    expect(late.every((index) => index < 8)).toBe(true);
  });

  test('of any presentation times are finite and increase strictly, and the depth stays within what H.264 allows', () => {
    fc.assert(fc.property(fc.integer({ min: -3, max: 40 }), fc.array(fc.oneof(fc.nat(1_000_000_000), fc.constant(-1)), { maxLength: 300 }), (depth, pts) => {
      const times = new DecodeTimes();
      times.restart(depth);
      let previous = Number.NEGATIVE_INFINITY;
      for (const time of pts) {
        if (time < 0) times.restart(depth);
        else {
          const dts = times.next(time);
          expect(dts).toBeGreaterThan(previous);
          expect(Number.isSafeInteger(dts)).toBe(true);
          previous = dts;
        }
      }
      expect(times.depth).toBeLessThanOrEqual(16);
    }));
  });
});
