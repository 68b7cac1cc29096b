import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Box } from '../../core/detection.ts';
import { Tracker } from './tracker.ts';
import type { Observation } from './tracker.ts';

const counter = (): (() => number) => {
  let last = 0;
  return () => ++last;
};
const tracker = (): Tracker => new Tracker(counter());
const seen = (x: number, over: Partial<Observation> = {}): Observation => ({ classId: 0, confidence: 0.8, bbox: { x, y: 100, width: 40, height: 80 }, ...over });

test('[INF-6] an object keeps its id while it moves, another has another', () => {
  const tracks = tracker();
  for (let i = 0; i < 100; i++) expect(tracks.update(i * 40, [seen(6 * i), seen(600 - 3 * i)], [])).toEqual([2, 1].toReversed());
});

test('[INF-6] two objects that cross keep their ids', () => {
  const tracks = tracker();
  for (let i = 0; i < 60; i++) {
    const ids = tracks.update(i * 33, [seen(8 * i), seen(472 - 8 * i, { bbox: { x: 472 - 8 * i, y: 130, width: 40, height: 80 } })], []);
    expect(ids).toEqual([1, 2]);
  }
});

test('[INF-6] what is too faint to be detected holds its track, and is none by itself', () => {
  const tracks = tracker();
  for (let i = 0; i < 10; i++) tracks.update(i * 100, [seen(10 * i)], []);
  for (let i = 10; i < 40; i++) expect(tracks.update(i * 100, [], [seen(10 * i, { confidence: 0.2 }), seen(10 * i + 500, { confidence: 0.2 })])).toEqual([]);
  expect(tracks.size).toBe(1);
  expect(tracks.update(4000, [seen(400)], [])).toEqual([1]);
});

test.each([[900, 1], [1200, 2]])('[INF-6] an object that was not seen for %d ms has id %d, whatever the number of pictures', (pause, id) => {
  for (const step of [33, 100, 300]) {
    const tracks = tracker();
    for (let i = 0; i < 5; i++) tracks.update(i * 100, [seen(100)], []);
    for (let at = 400 + step; at < 400 + pause; at += step) tracks.update(at, [], []);
    expect(tracks.update(400 + pause, [seen(100)], [])).toEqual([id]);
  }
});

test('[INF-6] a box of another class is another object', () => {
  const tracks = tracker();
  tracks.update(0, [seen(0)], []);
  expect(tracks.update(33, [seen(0, { classId: 1 })], [])).toEqual([2]);
  expect(tracks.update(66, [seen(0, { classId: 1 }), seen(0)], [])).toEqual([2, 1]);
});

test('[INF-6] after a reset, and when time goes back, nothing is known any more, and no id is given twice', () => {
  const tracks = tracker();
  tracks.update(1000, [seen(0)], []);
  tracks.reset();
  expect(tracks.size).toBe(0);
  expect(tracks.update(1033, [seen(0)], [])).toEqual([2]);
  expect(tracks.update(500, [seen(0)], [])).toEqual([3]);
});

test('[INF-6] of more boxes than a model gives, the most confident are followed', () => {
  const tracks = tracker();
  const many = Array.from({ length: 2000 }, (_, i) => seen(50 * i, { confidence: ((i * 7919) % 2000) / 2000 }));
  for (let at = 0; at < 10; at++) {
    const ids = tracks.update(at * 100, many, many);
    expect(ids.filter((id) => id !== null)).toHaveLength(300);
    expect(Math.min(...many.filter((_, i) => ids[i] !== null).map(({ confidence }) => confidence))).toBeGreaterThanOrEqual(0.85);
    expect(tracks.size).toBeLessThanOrEqual(512);
  }
});

test('[INF-6] however many objects come and go, no more than 512 are remembered: those seen last', () => {
  const tracks = tracker();
  const crowd = (from: number): Observation[] => Array.from({ length: 300 }, (_, i) => seen(100 * (from + i)));
  for (const [i, from] of [0, 0, 1000, 1000, 2000, 2000].entries()) tracks.update(i * 33, crowd(from), []);
  expect(tracks.size).toBe(512);
  expect(tracks.update(198, crowd(2000), [])).toEqual(Array.from({ length: 300 }, (_, i) => 601 + i));
  expect(tracks.update(231, crowd(0), []).every((id) => (id ?? 0) > 900)).toBe(true);
});

const edge = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.constantFrom(0, -5, 1e300, -1e300, Number.MIN_VALUE), fc.double({ noNaN: true, noDefaultInfinity: true }));
const hostileBox: fc.Arbitrary<Box> = fc.record({ x: edge, y: edge, width: edge, height: edge });
const plainBox: fc.Arbitrary<Box> = fc.record({ x: fc.integer({ min: 0, max: 300 }), y: fc.integer({ min: 0, max: 200 }), width: fc.integer({ min: 1, max: 150 }), height: fc.integer({ min: 1, max: 150 }) });
const observation: fc.Arbitrary<Observation> = fc.record({ classId: fc.integer({ min: 0, max: 2 }), confidence: fc.double({ min: 0, max: 1, noNaN: true }), bbox: fc.oneof(plainBox, hostileBox) });
const picture = fc.record({ after: fc.oneof(fc.integer({ min: 0, max: 500 }), fc.integer({ min: -3000, max: 10_000 })), detected: fc.array(observation, { maxLength: 12 }), faint: fc.array(observation, { maxLength: 12 }) });

test('[INF-6] whatever boxes come at whatever times: every one has an id, none twice in a picture, none again after it was forgotten, and not many are kept', () => {
  fc.assert(fc.property(fc.array(picture, { maxLength: 40 }), (pictures) => {
    const tracks = tracker();
    const lastSeen = new Map<number, { readonly at: number; readonly classId: number }>();
    let at = 10_000;
    let highest = 0;
    for (const { after, detected, faint } of pictures) {
      at += after;
      const ids = tracks.update(at, detected, faint);
      expect(ids).toHaveLength(detected.length);
      expect(new Set(ids).size).toBe(detected.length);
      for (const [i, id] of ids.entries()) {
        if (id === null) throw new Error('a box without id');
        const before = lastSeen.get(id);
        if (before) expect(before.classId).toBe(detected[i]?.classId);
        else expect(id).toBeGreaterThan(highest);
        lastSeen.set(id, { at, classId: detected[i]?.classId ?? -1 });
      }
      highest = Math.max(highest, ...lastSeen.keys());
      expect(tracks.size).toBeLessThanOrEqual(512);
    }
  }));
});

test('[INF-6] the order in which boxes are given changes nothing', () => {
  fc.assert(fc.property(fc.array(picture.chain((each) => fc.record({ each: fc.constant(each), detected: fc.shuffledSubarray(each.detected, { minLength: each.detected.length }), faint: fc.shuffledSubarray(each.faint, { minLength: each.faint.length }) })), { maxLength: 25 }), (pictures) => {
    const [given, shuffled] = [tracker(), tracker()];
    /** Which boxes bear which id; of equal boxes it does not matter which bears which. */
    const told = (boxes: readonly Observation[], ids: readonly (number | null)[]): string[] => boxes.map((each, i) => `${JSON.stringify(each)} ${String(ids[i])}`).sort();
    let at = 0;
    for (const { each, detected, faint } of pictures) {
      at += each.after;
      expect(told(detected, shuffled.update(at, detected, faint))).toEqual(told(each.detected, given.update(at, each.detected, each.faint)));
    }
  }));
});
