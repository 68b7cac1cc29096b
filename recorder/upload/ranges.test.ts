import fc from 'fast-check';
import { expect, test } from 'vitest';
import { splitByRecorded } from './ranges.ts';
import type { WallRange } from './ranges.ts';

const ranges = fc.array(fc.tuple(fc.integer({ min: 0, max: 5_000 }), fc.integer({ min: 0, max: 800 })), { maxLength: 20 })
  .map((all) => all.map(([from, length]) => ({ from, to: from + length })).sort((a, b) => a.from - b.from));
const length = (all: readonly WallRange[]): number => all.reduce((sum, { from, to }) => sum + to - from, 0);

test('[SD-52] what is free and what is covered make up the file, and nothing free is recorded', () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 4_000 }), fc.integer({ min: 1, max: 3_000 }), ranges, (from, span, recorded) => {
    const file = { from, to: from + span };
    const { free, covered } = splitByRecorded(file, recorded);
    expect(length(free) + length(covered)).toBe(span);
    const all = [...free, ...covered].sort((a, b) => a.from - b.from);
    let position = file.from;
    for (const range of all) {
      expect(range.from).toBe(position);
      position = range.to;
    }
    for (const range of free) {
      expect(range.to - range.from).toBeGreaterThanOrEqual(50);
      expect(recorded.some((other) => other.from < range.to && range.from < other.to && other.from < other.to)).toBe(false);
    }
  }));
});

test('[SD-52] what was taken before is covered the second time', () => {
  fc.assert(fc.property(ranges, (recorded) => {
    const file = { from: 100, to: 4_900 };
    const { free } = splitByRecorded(file, recorded);
    const again = splitByRecorded(file, [...recorded, ...free].sort((a, b) => a.from - b.from));
    expect(again.free).toEqual([]);
    expect(again.covered).toEqual([file]);
  }));
});

test('[SD-52] a gap of some milliseconds between two segments is none', () => {
  expect(splitByRecorded({ from: 0, to: 1_000 }, [{ from: 0, to: 400 }, { from: 430, to: 600 }])).toEqual({ free: [{ from: 600, to: 1_000 }], covered: [{ from: 0, to: 600 }] });
  expect(splitByRecorded({ from: 0, to: 1_000 }, [{ from: 500, to: Infinity }])).toEqual({ free: [{ from: 0, to: 500 }], covered: [{ from: 500, to: 1_000 }] });
});
