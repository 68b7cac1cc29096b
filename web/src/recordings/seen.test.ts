import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bucketsOf, classesOf, partsOf, seenAt } from './seen.ts';
import type { SeenTime } from './seen.ts';
import { MAX_SPAN } from './time-window.ts';

const NOON = Date.parse('2026-11-28T12:00:00.000Z');
const time: SeenTime = {
  from: new Date(NOON).toISOString(), to: new Date(NOON + 4_000).toISOString(), buckets: 4, left_out: 0,
  seen: [
    { class_name: 'person', model: null, count: 30, counts: [15, 0, 15, 0], at_once: [2, 0, 1, 0] },
    { class_name: 'scratch', model: null, count: 4, counts: [4, 0, 0, 0], at_once: [1, 0, 0, 0] },
    { class_name: 'scratch', model: 'fine', count: 7, counts: [6, 0, 0, 0], at_once: [3, 0, 0, 1] },
  ],
};

test('[REC-5] a part shows what live detection and analyses have seen in it, and no object twice', () => {
  expect(partsOf(time, null)).toEqual([
    { start: NOON, end: NOON + 1000, height: 1, classes: [{ name: 'person', atOnce: 2, found: false }, { name: 'scratch', atOnce: 3, found: false }] },
    { start: NOON + 2000, end: NOON + 3000, height: Math.sqrt(15 / 21), classes: [{ name: 'person', atOnce: 1, found: false }] },
    // So few of a long sighting that no detection falls into this part: it was seen all the same.
    { start: NOON + 3000, end: NOON + 4000, height: Math.sqrt(1 / 21), classes: [{ name: 'scratch', atOnce: 1, found: true }] },
  ]);
  expect(partsOf(time, 'scratch').map(({ start, height }) => [start, height])).toEqual([[NOON, 1], [NOON + 3000, Math.sqrt(1 / 6)]]);
  expect(partsOf(time, 'gone')).toEqual([]);
  expect([classesOf(time), classesOf(null)]).toEqual([['person', 'scratch'], []]);
});

test('[REC-5] few detections are still seen beside many, and the most fill the lane', () => {
  const parts = partsOf({ ...time, seen: [{ class_name: 'person', model: null, count: 0, counts: [10_000, 100, 1, 0], at_once: [9, 1, 1, 1] }] }, null);
  expect(parts.map(({ height }) => height)).toEqual([1, 0.1, 0.01, 0.01]);
});

test('[REC-5] a moment is told in words', () => {
  const parts = partsOf(time, null);
  expect([0, 999, 1000, 2500, 3500, 4000].map((at) => seenAt(parts, NOON + at))).toEqual(['person × 2, scratch × 3', 'person × 2, scratch × 3', '', 'person', 'scratch (analysis)', '']);
  const many = partsOf({ ...time, seen: ['a', 'b', 'c', 'd', 'e'].map((name, i) => ({ class_name: name, model: null, count: 1, counts: [9 - i, 0, 0, 0], at_once: [1, 0, 0, 0] })) }, null);
  expect(seenAt(many, NOON)).toBe('a, b, c, 2 more');
});

test('[REC-5] the buckets of any window fill it, are no more than the server gives, and stand still while it moves', () => {
  expect(bucketsOf({ start: NOON + 1, end: NOON + 900_001 })).toEqual({ from: NOON, to: NOON + 905_000, count: 181 });
  fc.assert(fc.property(fc.double({ min: 0, max: 2e12, noNaN: true }), fc.double({ min: 10_000, max: MAX_SPAN, noNaN: true }), (start, span) => {
    const { from, to, count } = bucketsOf({ start, end: start + span });
    expect(from).toBeLessThanOrEqual(start);
    expect(to).toBeGreaterThanOrEqual(start + span);
    expect(count).toBeGreaterThanOrEqual(60);
    expect(count).toBeLessThanOrEqual(202);
    const width = (to - from) / count;
    expect(from % width).toBe(0);
    expect(Number.isInteger(width)).toBe(true);
  }));
});
