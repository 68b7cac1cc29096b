import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KeptRanges } from './kept-ranges.ts';

test('[REC-2] a segment is kept when it touches any range of its camera, whatever the order and overlap of the ranges', () => {
  const range = fc.record({ camera: fc.constantFrom('a', 'b'), from: fc.integer({ min: 0, max: 100 }), length: fc.integer({ min: -5, max: 30 }) }).map(({ camera, from, length }) => ({ camera, from, to: from + length }));
  const segment = fc.record({ camera: fc.constantFrom('a', 'b', 'c'), start: fc.integer({ min: -10, max: 120 }), duration: fc.integer({ min: 1, max: 20 }) });
  fc.assert(fc.property(fc.array(range, { maxLength: 12 }), segment, (ranges, one) => {
    const touched = ranges.some(({ camera, from, to }) => camera === one.camera && from < to && from < one.start + one.duration && one.start < to);
    expect(new KeptRanges(ranges).has(one)).toBe(touched);
  }), { numRuns: 2000 });
});
