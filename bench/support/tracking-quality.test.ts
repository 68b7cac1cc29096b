import { expect, test } from 'vitest';
import { trackingQuality } from './tracking-quality.ts';
import type { TrackedObject, TrackedPicture, TrueObject } from './tracking-quality.ts';

const at = (x: number) => ({ x, y: 0, width: 10, height: 10 });
const object = (id: number, x: number, over: Partial<TrueObject> = {}): TrueObject => ({ id, classId: 0, bbox: at(x), optional: false, ...over });
const box = (id: number, x: number, over: Partial<TrackedObject> = {}): TrackedObject => ({ id, classId: 0, bbox: at(x), ...over });
const quality = (...pictures: readonly (readonly [readonly TrueObject[], readonly TrackedObject[]])[]) => trackingQuality(pictures.map(([truth, tracked]): TrackedPicture => ({ truth, tracked })), 0.5);

test('tracks that are the truth, by whatever ids, are perfect', () => {
  const moving = Array.from({ length: 5 }, (_, i): readonly [TrueObject[], TrackedObject[]] => [[object(1, i), object(2, 50 - i)], [box(8, 50 - i), box(7, i)]]);
  expect(quality(...moving)).toEqual({ mota: 1, idf1: 1, kept: 1, objects: 10, misses: 0, falsePositives: 0, switches: 0 });
});

test('a miss, a false positive and a switch cost one each of MOTA', () => {
  expect(quality(
    [[object(1, 0), object(2, 50)], [box(1, 0), box(2, 50)]],
    [[object(1, 0), object(2, 50)], [box(1, 0)]], // a miss
    [[object(1, 0), object(2, 50)], [box(1, 0), box(2, 50), box(3, 90)]], // a false positive
    [[object(1, 0), object(2, 50)], [box(4, 0), box(2, 50)]], // a switch
    [[object(1, 0), object(2, 50)], [box(4, 0), box(2, 50)]],
  )).toMatchObject({ mota: 1 - 3 / 10, objects: 10, misses: 1, falsePositives: 1, switches: 1 });
});

test('a switch over a pause is one, and back again another', () => {
  expect(quality([[object(1, 0)], [box(1, 0)]], [[object(1, 0)], []], [[object(1, 0)], [box(2, 0)]], [[object(1, 0)], [box(1, 0)]])).toMatchObject({ misses: 1, switches: 2 });
});

test('a correspondence is kept while it holds, even where another box fits better by now', () => {
  expect(quality([[object(1, 0)], [box(1, 0)]], [[object(1, 0)], [box(1, 3), box(2, 0)]])).toMatchObject({ switches: 0, falsePositives: 1 });
  expect(quality([[object(1, 0)], [box(1, 0)]], [[object(1, 0)], [box(1, 6), box(2, 0)]])).toMatchObject({ switches: 1, falsePositives: 1 });
});

test('IDF1: an object that has two tracks, one of three pictures and one of one, is identified in three of four', () => {
  const { idf1, mota } = quality([[object(1, 0)], [box(1, 0)]], [[object(1, 0)], [box(1, 0)]], [[object(1, 0)], [box(1, 0)]], [[object(1, 0)], [box(2, 0)]]);
  expect(idf1).toBeCloseTo(0.75, 12);
  expect(mota).toBeCloseTo(0.75, 12);
});

test('IDF1: two objects that swap their tracks half-way keep one half each, whatever MOTA says', () => {
  const { idf1, switches } = quality(
    [[object(1, 0), object(2, 50)], [box(1, 0), box(2, 50)]], [[object(1, 0), object(2, 50)], [box(1, 0), box(2, 50)]],
    [[object(1, 0), object(2, 50)], [box(2, 0), box(1, 50)]], [[object(1, 0), object(2, 50)], [box(2, 0), box(1, 50)]],
  );
  expect(idf1).toBeCloseTo(0.5, 12);
  expect(switches).toBe(2);
});

test('IDF1 counts misses and false positives: 2 IDTP / (objects + boxes)', () => {
  expect(quality([[object(1, 0)], [box(1, 0), box(2, 90)]], [[object(1, 0)], []], [[object(1, 0)], [box(1, 0)]]).idf1).toBeCloseTo((2 * 2) / (3 + 3), 12);
});

test('an id is kept in the share of pictures in which it is on its object, whatever else is on it, and pictures in which it is not found do not count', () => {
  const { kept } = quality([[object(1, 0)], [box(1, 0), box(2, 1)]], [[object(1, 0)], [box(1, 0)]], [[object(1, 0)], []], [[object(1, 0)], [box(3, 0)]], [[object(1, 0)], [box(1, 2)]]);
  expect(kept).toBeCloseTo(3 / 4, 12);
  expect(quality([[object(1, 0)], []]).kept).toBeNaN();
});

test('what is of another class, or overlaps too little, is not found', () => {
  expect(quality([[object(1, 0)], [box(1, 0, { classId: 1 })]])).toMatchObject({ misses: 1, falsePositives: 1, idf1: 0 });
  expect(quality([[object(1, 0)], [box(1, 4)]])).toMatchObject({ misses: 1, falsePositives: 1 }); // IoU 6/14
});

test('an object that need not be found counts neither for nor against, nor does the box on it', () => {
  expect(quality([[object(1, 0, { optional: true }), object(2, 50)], [box(1, 0), box(2, 50)]])).toEqual({ mota: 1, idf1: 1, kept: 1, objects: 1, misses: 0, falsePositives: 0, switches: 0 });
  expect(quality([[object(1, 0, { optional: true }), object(2, 50)], [box(2, 50)]])).toMatchObject({ mota: 1, idf1: 1, kept: 1, objects: 1 });
});
