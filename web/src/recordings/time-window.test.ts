import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_SPAN, around, barOf, fractionOf, heldBy, momentAt, moved, spanOf, ticksOf, zoomed } from './time-window.ts';

const NOON = new Date(2026, 10, 28, 12).getTime();
const HOUR = 3_600_000;
const hour = { start: NOON, end: NOON + HOUR };
const windows = fc.tuple(fc.integer({ min: 0, max: 2e12 }), fc.integer({ min: 10_000, max: MAX_SPAN })).map(([start, span]) => ({ start, end: start + span }));

test('a moment and its place on the bar tell each other', () => {
  expect([fractionOf(hour, NOON), fractionOf(hour, NOON + HOUR / 4), fractionOf(hour, NOON - HOUR)]).toEqual([0, 0.25, -1]);
  fc.assert(fc.property(windows, fc.double({ min: 0, max: 1, noNaN: true }), (window, fraction) => { expect(fractionOf(window, momentAt(window, fraction))).toBeCloseTo(fraction, 6); }));
  expect([momentAt(hour, -3), momentAt(hour, 3)]).toEqual([hour.start, hour.end]);
});

test('a range is drawn where it is, as far as it is in the window, and never too thin to be seen', () => {
  expect(barOf(hour, NOON + HOUR / 2, NOON + HOUR)).toEqual({ left: '50.000%', width: '50.000%' });
  expect(barOf(hour, NOON - HOUR, NOON + 2 * HOUR)).toEqual({ left: '0.000%', width: '100.000%' });
  expect(barOf(hour, NOON + HOUR / 2, NOON + HOUR / 2 + 1, 0.5)).toEqual({ left: '50.000%', width: '0.500%' });
  expect([barOf(hour, NOON - HOUR, NOON), barOf(hour, NOON + HOUR, NOON + 2 * HOUR)]).toEqual([null, null]);
  fc.assert(fc.property(windows, fc.integer({ min: -MAX_SPAN, max: MAX_SPAN }), fc.integer({ min: 1, max: MAX_SPAN }), (window, offset, length) => {
    const bar = barOf(window, window.start + offset, window.start + offset + length);
    if (bar === null) return;
    const [left, width] = [parseFloat(bar.left), parseFloat(bar.width)];
    expect(left).toBeGreaterThanOrEqual(0);
    expect(width).toBeGreaterThan(0);
    expect(left + width).toBeLessThanOrEqual(100.2);
  }));
});

test('zooming keeps the moment under the pointer, stays between ten seconds and a week, and never reaches beyond the latest', () => {
  expect(zoomed(hour, 0.5, NOON + HOUR / 4, NOON + HOUR)).toEqual({ start: NOON + HOUR / 8, end: NOON + HOUR / 8 + HOUR / 2 });
  fc.assert(fc.property(windows, fc.double({ min: 0.001, max: 1000, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }), (window, factor, place) => {
    const at = momentAt(window, place);
    const free = zoomed(window, factor, at, Infinity);
    expect(spanOf(free)).toBeGreaterThanOrEqual(9_999);
    expect(spanOf(free)).toBeLessThanOrEqual(MAX_SPAN + 1);
    expect(fractionOf(free, at)).toBeCloseTo(place, 3);
    expect(zoomed(window, factor, at, window.end).end).toBeLessThanOrEqual(window.end);
  }));
});

test('two fingers hold two moments: spread, closed or moved together, those stay under them', () => {
  const fingers = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }));
  fc.assert(fc.property(windows, fingers, fingers, (window, [a, b], [toA, toB]) => {
    const [first, second] = [{ at: momentAt(window, a), place: toA }, { at: momentAt(window, b), place: toB }];
    const held = heldBy(first, second, Infinity);
    if (held === null) { expect(Math.abs(toB - toA) < 0.02 || (second.at - first.at) * (toB - toA) <= 0).toBe(true); return; }
    expect(spanOf(held)).toBeGreaterThanOrEqual(9_999);
    expect(spanOf(held)).toBeLessThanOrEqual(MAX_SPAN + 1);
    const wanted = (second.at - first.at) / (toB - toA);
    if (wanted < 10_001 || wanted > MAX_SPAN - 1) return;
    expect(fractionOf(held, first.at)).toBeCloseTo(toA, 3);
    expect(fractionOf(held, second.at)).toBeCloseTo(toB, 3);
    expect(heldBy(first, second, held.end - 1000)?.end).toBeCloseTo(held.end - 1000, 0);
  }));
  expect(heldBy({ at: NOON, place: 0.25 }, { at: NOON + HOUR / 2, place: 0.75 }, Infinity)).toEqual({ start: NOON - HOUR / 4, end: NOON + (3 * HOUR) / 4 });
});

test('moving goes by a share of the window and stops at the latest', () => {
  expect(moved(hour, -0.5, NOON + HOUR)).toEqual({ start: NOON - HOUR / 2, end: NOON + HOUR / 2 });
  expect(moved(hour, 0.5, NOON + HOUR)).toEqual(hour);
});

test('a window around a range shows all of it with air on both sides', () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 2e12 }), fc.integer({ min: 1, max: 86_400_000 }), (from, length) => {
    const window = around(from, from + length);
    expect(window.start).toBeLessThan(from);
    expect(window.end).toBeGreaterThan(from + length);
  }));
});

test('ticks are on full steps of the local day, in order, in the window, and no more than there is room for', () => {
  expect(ticksOf(hour, 8)).toEqual({ at: [0, 15, 30, 45].map((minutes) => NOON + minutes * 60_000), step: 900_000 });
  fc.assert(fc.property(windows, fc.integer({ min: 2, max: 20 }), (window, most) => {
    const { at, step } = ticksOf(window, most);
    expect(at.length).toBeLessThanOrEqual(Math.max(most, 8) + 2);
    for (const [i, tick] of at.entries()) {
      expect(tick).toBeGreaterThanOrEqual(window.start);
      expect(tick).toBeLessThan(window.end);
      expect(tick % 1000).toBe(0);
      if (i > 0) expect(tick).toBeGreaterThan(at[i - 1] ?? Infinity);
    }
    expect(step).toBeGreaterThan(0);
  }));
});
