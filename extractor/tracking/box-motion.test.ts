import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Box } from '../../core/detection.ts';
import { BoxMotion } from './box-motion.ts';

const PICTURE = 1000 / 30;
const box = (x: number, y = 100): Box => ({ x, y, width: 40, height: 80 });

/** Follows a box that moves `perSecond` pixels to the right, seen at these times. */
const follow = (times: readonly number[], perSecond: number): BoxMotion => {
  const motion = new BoxMotion(times[0] ?? 0, box(0));
  for (const at of times.slice(1)) {
    motion.predict(at, true);
    motion.correct(box((at * perSecond) / 1000));
  }
  return motion;
};
const every = (ms: number, count: number): number[] => Array.from({ length: count }, (_, i) => i * ms);

test('[INF-6] a box is expected where it was, until it is known to move', () => {
  const expected = new BoxMotion(0, box(7)).predict(500, true);
  expect(expected.x).toBeCloseTo(7, 9);
  expect(expected.y).toBeCloseTo(100, 9);
  expect([expected.width, expected.height]).toEqual([40, 80]);
});

test.each([5, 15, 30])('[INF-6] at %d pictures a second the same motion is learnt within two seconds', (fps) => {
  const motion = follow(every(1000 / fps, 2 * fps), 180);
  const last = (2 * fps - 1) * (1000 / fps);
  expect(motion.predict(last + 200, true).x).toBeCloseTo((180 * (last + 200)) / 1000, -0.5);
});

test('[INF-6] pictures that come irregularly are taken at their own times', () => {
  const times = every(PICTURE, 60).filter((_, i) => i % 7 !== 3 && i % 11 !== 5);
  const last = times.at(-1) ?? 0;
  expect(follow(times, 300).predict(last + 100, true).x).toBeCloseTo((300 * (last + 100)) / 1000, -0.5);
});

test('[INF-6] what is not seen keeps the size it had', () => {
  const motion = new BoxMotion(0, box(0));
  for (let i = 1; i < 10; i++) {
    motion.predict(i * PICTURE, true);
    motion.correct({ x: 0, y: 0, width: 40 + i, height: 80 + 2 * i });
  }
  const { height } = motion.predict(10 * PICTURE, false);
  expect(motion.predict(40 * PICTURE, false).height).toBe(height);
});

const edge = fc.oneof(fc.constantFrom(0, 1, -1, 1e300, -1e300, Number.MIN_VALUE), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer({ min: 0, max: 2000 }));
const anyBox: fc.Arbitrary<Box> = fc.record({ x: edge, y: edge, width: edge, height: edge });

test('[INF-6] whatever boxes come, at whatever times, a box with an area is expected', () => {
  fc.assert(fc.property(anyBox, fc.array(fc.tuple(fc.integer({ min: 0, max: 2000 }), fc.option(anyBox)), { maxLength: 50 }), (first, later) => {
    const motion = new BoxMotion(0, first);
    let at = 0;
    for (const [after, seen] of later) {
      const expected = motion.predict((at += after), seen !== null);
      for (const value of Object.values(expected) as number[]) expect(Number.isFinite(value)).toBe(true);
      expect(Math.min(expected.width, expected.height)).toBeGreaterThanOrEqual(1);
      if (seen) motion.correct(seen);
    }
  }));
});
