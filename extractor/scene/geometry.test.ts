import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isInside, leadsThrough, offsetFrom } from './geometry.ts';
import type { Pixel } from './geometry.ts';

const coordinate = fc.integer({ min: -1000, max: 1000 });
const point = fc.tuple(coordinate, coordinate);

test('[INF-6] a point is inside a polygon, also of one that bends inwards', () => {
  const ell: readonly Pixel[] = [[0, 0], [10, 0], [10, 4], [4, 4], [4, 10], [0, 10]];
  expect([isInside([2, 2], ell), isInside([9, 2], ell), isInside([2, 9], ell), isInside([9, 9], ell), isInside([-1, 2], ell), isInside([5, 5], ell)]).toEqual([true, true, true, false, false, false]);
  expect(isInside([0, 0], [])).toBe(false);
});

test('[INF-6] inside a rectangle is what lies between its sides, wherever the polygon begins and whichever way it runs', () => {
  const size = fc.integer({ min: 1, max: 500 });
  fc.assert(fc.property(coordinate, coordinate, size, size, point, fc.nat(3), fc.boolean(), (left, top, width, height, [x, y], first, reversed) => {
    const corners: Pixel[] = [[left, top], [left + width, top], [left + width, top + height], [left, top + height]];
    const turned = [...corners.slice(first), ...corners.slice(0, first)];
    fc.pre(x !== left && x !== left + width && y !== top && y !== top + height);
    expect(isInside([x, y], reversed ? turned.toReversed() : turned)).toBe(x > left && x < left + width && y > top && y < top + height);
  }));
});

test('[INF-6] who walks from one end of a line to the other has the right side on the right hand', () => {
  // East, with y downwards: south is on the right.
  expect(offsetFrom([50, 30], [0, 0], [100, 0])).toBe(30);
  expect(offsetFrom([50, -30], [0, 0], [100, 0])).toBe(-30);
  expect(offsetFrom([5, 5], [7, 7], [7, 7])).toBe(0);
});

test('[INF-6] a way leads through a line only between its ends', () => {
  expect(leadsThrough([50, -10], [50, 10], [0, 0], [100, 0])).toBe(true);
  expect(leadsThrough([150, -10], [150, 10], [0, 0], [100, 0])).toBe(false);
  expect(leadsThrough([150, -10], [50, 10], [0, 0], [100, 0])).toBe(true);
  fc.assert(fc.property(point, point, point, point, (a, b, from, to) => {
    // Two stretches cross or not, whichever is called the way.
    fc.pre(offsetFrom(a, from, to) * offsetFrom(b, from, to) < 0 && offsetFrom(from, a, b) !== 0 && offsetFrom(to, a, b) !== 0);
    expect(leadsThrough(a, b, from, to)).toBe(leadsThrough(b, a, to, from));
  }));
});
