import fc from 'fast-check';
import { expect, test } from 'vitest';
import { letterbox } from '../../core/letterbox.ts';
import type { RawDetection } from './layout.ts';
import { NMS_IOU, YoloLayout } from './yolo.ts';

const PLACE = letterbox(1280, 720, 320, 320);
const ANCHORS = 40;
const CLASSES = 3;

interface Anchor { readonly box: readonly [cx: number, cy: number, width: number, height: number]; readonly scores: readonly number[] }

const tensor = (anchors: readonly Anchor[]): Float32Array => {
  const values = new Float32Array((4 + CLASSES) * ANCHORS);
  for (const [i, { box, scores }] of anchors.entries()) {
    for (const [row, value] of [...box, ...scores].entries()) values[row * ANCHORS + i] = value;
  }
  return values;
};
const decode = (anchors: readonly Anchor[], confidence = 0.4): readonly RawDetection[] =>
  new YoloLayout({ output: 'output0', classes: CLASSES, anchors: ANCHORS }).decode([{ dims: [1, 4 + CLASSES, ANCHORS], values: tensor(anchors) }], confidence, PLACE);

const iou = (a: RawDetection['bbox'], b: RawDetection['bbox']): number => {
  const w = Math.max(0, Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x));
  const h = Math.max(0, Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y));
  return (w * h) / (a.width * a.height + b.width * b.height - w * h);
};

test('[INF-2] a box in input pixels comes back in pixels of the encoded picture, with its best class', () => {
  // 1280x720 lies in 320x320 as 320x180 at (0, 70): a quarter of its size.
  expect(decode([{ box: [160, 160, 40, 20], scores: [0.1, 0.75, 0.5] }])).toEqual([
    { classId: 1, confidence: 0.75, bbox: { x: 560, y: 320, width: 160, height: 80 } },
  ]);
});

test('[INF-2] of boxes that overlap the best of each class remains; another class is not touched', () => {
  const found = decode([
    { box: [100, 160, 40, 40], scores: [0.6, 0, 0] },
    { box: [102, 161, 40, 40], scores: [0.9, 0, 0] },
    { box: [101, 160, 40, 40], scores: [0, 0.5, 0] },
    { box: [200, 160, 40, 40], scores: [0.7, 0, 0] },
  ]);
  expect(found.map((d) => [d.classId, Math.round(d.confidence * 10)])).toEqual([[0, 9], [0, 7], [1, 5]]);
});

test('of boxes with exactly the same score the smaller wins, wherever it stands', () => {
  const large: Anchor = { box: [100, 160, 40, 60], scores: [0.5, 0, 0] };
  const small: Anchor = { box: [100, 160, 40, 40], scores: [0.5, 0, 0] };
  expect(decode([large, small])).toEqual(decode([small, large]));
  expect(decode([large, small])[0]?.bbox.height).toBe(160);
});

test('a box beyond the picture is clipped to it, and one that lies in the padding is none', () => {
  expect(decode([{ box: [0, 70, 40, 40], scores: [0.9, 0, 0] }])[0]?.bbox).toEqual({ x: 0, y: 0, width: 80, height: 80 });
  expect(decode([{ box: [100, 20, 20, 20], scores: [0.9, 0, 0] }])).toEqual([]);
});

const coordinate = fc.oneof(fc.double({ min: -500, max: 800, noNaN: true }), fc.constantFrom(Number.NaN, Infinity, -Infinity, 0, 1e38, -1e38));
const score = fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(Number.NaN, Infinity, -1, 2));
const anchor: fc.Arbitrary<Anchor> = fc.record({ box: fc.tuple(coordinate, coordinate, coordinate, coordinate), scores: fc.array(score, { minLength: CLASSES, maxLength: CLASSES }) });

test('any tensor gives boxes inside the picture, best first, and none below the threshold', () => {
  fc.assert(fc.property(fc.array(anchor, { maxLength: ANCHORS }), fc.double({ min: 0, max: 1, noNaN: true }), (anchors, confidence) => {
    const found = decode(anchors, confidence);
    for (const [i, { bbox, confidence: c, classId }] of found.entries()) {
      expect(c).toBeGreaterThanOrEqual(Math.min(1, confidence));
      expect(c).toBeLessThanOrEqual(found[i - 1]?.confidence ?? 1);
      expect(classId).toBeLessThan(CLASSES);
      expect(bbox.x).toBeGreaterThanOrEqual(0);
      expect(bbox.y).toBeGreaterThanOrEqual(0);
      expect(bbox.width).toBeGreaterThan(0);
      expect(bbox.height).toBeGreaterThan(0);
      expect(bbox.x + bbox.width).toBeLessThanOrEqual(1280.001);
      expect(bbox.y + bbox.height).toBeLessThanOrEqual(720.001);
    }
  }));
});

test('NMS leaves no two boxes of a class that overlap more than its limit, and forgets no box that no better one covers', () => {
  const inside: fc.Arbitrary<Anchor> = fc.record({
    box: fc.tuple(fc.integer({ min: 40, max: 280 }), fc.integer({ min: 100, max: 220 }), fc.integer({ min: 4, max: 60 }), fc.integer({ min: 4, max: 50 })),
    scores: fc.array(fc.float({ min: Math.fround(0.41), max: 1, noNaN: true }), { minLength: CLASSES, maxLength: CLASSES }),
  });
  fc.assert(fc.property(fc.array(inside, { maxLength: ANCHORS }), (anchors) => {
    const found = decode(anchors);
    for (const a of found) for (const b of found) if (a !== b && a.classId === b.classId) expect(iou(a.bbox, b.bbox)).toBeLessThanOrEqual(NMS_IOU + 1e-4);
    // Every anchor is represented: itself, or a better one of its class over it.
    for (const { box: [cx, cy, width, height], scores } of anchors) {
      const classId = scores.indexOf(Math.max(...scores));
      const own = { x: (cx - width / 2) * 4, y: (cy - height / 2 - 70) * 4, width: width * 4, height: height * 4 };
      expect(found.some((d) => d.classId === classId && iou(d.bbox, own) > NMS_IOU - 1e-4)).toBe(true);
    }
  }));
});
