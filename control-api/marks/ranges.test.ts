import fc from 'fast-check';
import { expect, test } from 'vitest';
import { merged, overlapsAny } from './ranges.ts';

const range = fc.tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 1, max: 8 })).map(([from, length]) => ({ from, to: from + length }));

test('merged ranges cover the same times, apart and in order', () => {
  fc.assert(fc.property(fc.array(range, { maxLength: 12 }), (ranges) => {
    const result = merged(ranges);
    for (let at = 0; at < 50; at++) expect(result.some(({ from, to }) => from <= at && at < to)).toBe(ranges.some(({ from, to }) => from <= at && at < to));
    for (const [i, { from, to }] of result.entries()) {
      expect(from).toBeLessThan(to);
      expect(from).toBeGreaterThan(result[i - 1]?.to ?? -1);
    }
  }));
});

test('a range overlaps one of them or none', () => {
  fc.assert(fc.property(fc.array(range, { maxLength: 12 }), range, (ranges, asked) => {
    expect(overlapsAny(merged(ranges), asked)).toBe(ranges.some(({ from, to }) => from < asked.to && to > asked.from));
  }));
});
