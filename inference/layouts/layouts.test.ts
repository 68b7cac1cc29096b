import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MediaError } from '../../core/errors.ts';
import { letterbox } from '../../core/letterbox.ts';
import { chooseLayout } from './choose-layout.ts';
import { ClassificationLayout } from './classification.ts';
import { EndToEndLayout } from './end-to-end.ts';
import type { LayoutHints, OutputLayout, OutputShape, RawDetection } from './layout.ts';
import { TopKLayout } from './top-k.ts';
import type { TopKShape } from './top-k.ts';
import { YoloLayout } from './yolo.ts';

// 1280x720 lies in 320x320 as 320x180 at (0, 70): a quarter of its size.
const PLACE = letterbox(1280, 720, 320, 320);
const NO_HINTS: LayoutHints = { classes: null, task: null, layout: null, boxes: null, firstClass: null };
const decode = (layout: OutputLayout, tensors: readonly (readonly number[])[], confidence = 0.4): readonly RawDetection[] =>
  layout.decode(tensors.map((values) => ({ dims: [1, values.length], values: Float32Array.from(values) })), confidence, PLACE);

test('[INF-2] end to end: rows of corners, score and class come back in pixels of the encoded picture, best first', () => {
  const rows = [
    140, 150, 180, 170, 0.5, 1,
    0, 70, 40, 90, 0.75, 0,
    0, 70, 40, 90, 0.25, 0, // below the threshold
    0, 0, 0, 0, 0, 0, // the filling
    0, 70, 40, 90, 0.75, 2, // a class that the model does not have
    0, 70, 40, 90, 0.75, 0.5,
  ];
  expect(decode(new EndToEndLayout('output0', 2), [rows])).toEqual([
    { classId: 0, confidence: 0.75, bbox: { x: 0, y: 0, width: 160, height: 80 } },
    { classId: 1, confidence: 0.5, bbox: { x: 560, y: 320, width: 160, height: 80 } },
  ]);
});

const TENSORFLOW: TopKShape = { boxes: 'b', scores: 's', classIds: 'c', count: 'n', convention: 'yxyx_normalised', firstClass: 1, classes: 3 };

test('[INF-2] top-k: boxes as shares of the input, classes from one, and only as many as count', () => {
  const boxes = [0.46875, 0.4375, 0.53125, 0.5625, 0.46875, 0.4375, 0.53125, 0.5625, 0.25, 0.25, 0.5, 0.5];
  const found = [{ classId: 1, confidence: 0.75, bbox: { x: 560, y: 320, width: 160, height: 80 } }];
  expect(decode(new TopKLayout(TENSORFLOW), [boxes, [0.75, 0.75, 0.75], [2, 0, 1], [2]])).toEqual(found);
  expect(decode(new TopKLayout(TENSORFLOW), [boxes, [0.75, 0.75, 0.75], [2, 0, 1], [Number.NaN]])).toEqual([]);
  const pixels = [140, 150, 180, 170];
  expect(decode(new TopKLayout({ ...TENSORFLOW, count: null, convention: 'xyxy_pixels', firstClass: 0 }), [pixels, [0.75], [1]])).toEqual(found);
});

test('[INF-2] classification: the best class covers the whole picture, with its softmax or with the probability it came as', () => {
  const whole = { x: 0, y: 0, width: 1280, height: 720 };
  const layout = new ClassificationLayout('output0', 3);
  const [best] = decode(layout, [[1, 3, 2]]);
  expect(best).toMatchObject({ classId: 1, bbox: whole });
  expect(best?.confidence).toBeCloseTo(Math.exp(3) / (Math.exp(1) + Math.exp(2) + Math.exp(3)), 6);
  expect(decode(layout, [[0.125, 0.125, 0.75]])).toEqual([{ classId: 2, confidence: 0.75, bbox: whole }]);
  expect(decode(layout, [[1e38, 0, 0]])[0]?.confidence).toBe(1);
  expect(decode(layout, [[0, 0, 0]])).toEqual([]); // a third each
  expect(decode(layout, [[5, Number.NaN, 0]])).toEqual([]);
});

const float = (name: string, ...dims: readonly number[]): OutputShape => ({ name, type: 'float32', dims });
const TF_OUTPUTS = [float('detection_boxes:0', 1, 100, 4), float('detection_classes:0', 1, 100), float('detection_scores:0', 1, 100), float('num_detections:0', 1), float('raw_detection_boxes:0', 1, 1917, 4), float('detection_multiclass_scores:0', 1, 100, 91)];

test.each<[string, readonly OutputShape[], Partial<LayoutHints>, string]>([
  ['YOLO11', [float('output0', 1, 84, 8400)], {}, 'yolo'],
  ['YOLO11 of two classes', [float('output0', 1, 6, 8400)], { classes: 2 }, 'yolo'],
  ['a tiny YOLO, by its names', [float('output0', 1, 84, 21)], { classes: 80 }, 'yolo'],
  ['YOLO11 in half floats', [{ name: 'output0', type: 'float16', dims: [1, 84, 8400] }], { task: 'detect' }, 'yolo'],
  ['YOLO26', [float('output0', 1, 300, 6)], {}, 'end_to_end'],
  ['YOLO26 of 296 classes', [float('output0', 1, 300, 6)], { classes: 296 }, 'end_to_end'],
  ['an end-to-end model that saw nothing', [float('output0', 1, 0, 6)], {}, 'end_to_end'],
  ['SSD by TensorFlow', TF_OUTPUTS, {}, 'top_k'],
  ['SSD by torchvision', [float('boxes', 7, 4), { name: 'labels', type: 'int64', dims: [7] }, float('scores', 7)], { boxes: 'xyxy_pixels' }, 'top_k'],
  ['ResNet-50', [float('resnetv17_dense0_fwd', 1, 1000)], {}, 'classification'],
  ['SqueezeNet', [float('softmaxout_1', 1, 1000, 1, 1)], { task: 'classify' }, 'classification'],
])('[INF-2] %s is told by its tensors', (_name, outputs, hints, id) => {
  expect(chooseLayout(outputs, { ...NO_HINTS, ...hints }).id).toBe(id);
});

test('[INF-2] only the tensors that are read are asked for', () => {
  expect(chooseLayout(TF_OUTPUTS, NO_HINTS).outputs).toEqual(['detection_boxes:0', 'detection_scores:0', 'detection_classes:0', 'num_detections:0']);
});

test.each<[string, readonly OutputShape[], Partial<LayoutHints>, string]>([
  ['YOLOv5', [float('output0', 1, 25_200, 85)], {}, 'output0 float32[1,25200,85] has no known layout; known are end_to_end float[1, boxes, 6]; yolo float[1, 4 + classes, anchors]; top_k'],
  ['segmentation', [float('output0', 1, 116, 8400), float('output1', 1, 32, 160, 160)], {}, 'output1 float32[1,32,160,160]'],
  ['a pose model', [float('output0', 1, 56, 8400)], { task: 'pose' }, 'task is "pose"; known are detect and classify'],
  ['two pictures at once', [float('output0', 2, 84, 8400)], {}, 'float32[2,84,8400]'],
  ['integers', [{ name: 'output0', type: 'int64', dims: [1, 84, 8400] }], {}, 'int64[1,84,8400]'],
  ['nothing', [], {}, 'no known layout'],
  ['ten million anchors', [float('output0', 1, 84, 10_000_000)], {}, '10000000 anchors, at most 500000'],
  ['ten million boxes', [float('output0', 1, 10_000_000, 6)], {}, '10000000 boxes'],
  ['too many classes', [float('output0', 1, 10_001)], {}, '10001 classes'],
  ['unnamed corners', [float('boxes', 7, 4), float('labels', 7), float('scores', 7)], {}, 'its sidecar must say how they are written ("boxes")'],
  ['lengths that differ', [float('detection_boxes', 1, 100, 4), float('detection_classes', 1, 99), float('detection_scores', 1, 100)], {}, 'no known layout'],
  ['another layout than the sidecar says', [float('output0', 1, 84, 8400)], { layout: 'classification' }, 'known are classification'],
])('[INF-2] %s: refused with what was found', (_name, outputs, hints, why) => {
  expect(() => chooseLayout(outputs, { ...NO_HINTS, ...hints })).toThrow(why);
});

test('any outputs have a layout or are refused', () => {
  const shape: fc.Arbitrary<OutputShape> = fc.record({
    name: fc.oneof(fc.string(), fc.constantFrom('detection_boxes', 'scores', 'classes', 'num_detections')),
    type: fc.constantFrom('float32', 'float16', 'int64', 'string', 'bool'),
    dims: fc.array(fc.oneof(fc.constantFrom(0, 1, 4, 6, 7), fc.integer({ min: 0, max: 100_000 })), { maxLength: 5 }),
  });
  const hints: fc.Arbitrary<LayoutHints> = fc.record({
    classes: fc.option(fc.nat(200)), task: fc.option(fc.constantFrom('detect', 'classify', 'pose')), layout: fc.constant(null), boxes: fc.constantFrom(null, 'xyxy_pixels'), firstClass: fc.constant(null),
  });
  fc.assert(fc.property(fc.array(shape, { maxLength: 5 }), hints, (outputs, known) => {
    try {
      expect(chooseLayout(outputs, known).outputs.length).toBeGreaterThan(0);
    } catch (error) {
      expect(error).toBeInstanceOf(MediaError);
    }
  }));
});

const anything = fc.oneof(fc.double({ min: -500, max: 800 }), fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(Number.NaN, Infinity, -Infinity, 0, 1, 2, -1, 3.4e38, -3.4e38));
const BOXES = 12;
const tensor = (length: number): fc.Arbitrary<readonly number[]> => fc.array(anything, { minLength: length, maxLength: length });
const hostile: readonly [string, OutputLayout, readonly number[]][] = [
  ['yolo', new YoloLayout({ output: 'o', classes: 3, anchors: BOXES }), [7 * BOXES]],
  ['end to end', new EndToEndLayout('o', 3), [6 * BOXES]],
  ['end to end without names', new EndToEndLayout('o', null), [6 * BOXES]],
  ['top-k', new TopKLayout(TENSORFLOW), [4 * BOXES, BOXES, BOXES, 1]],
  ['classification', new ClassificationLayout('o', 3), [3]],
];

test.each(hostile)('%s: any values give boxes inside the picture, of known classes, best first, and none below the threshold', (_name, layout, lengths) => {
  fc.assert(fc.property(fc.tuple(...lengths.map(tensor)), fc.double({ min: 0, max: 1, noNaN: true }), (tensors, confidence) => {
    const found = decode(layout, tensors, confidence);
    for (const [i, { bbox, confidence: score, classId }] of found.entries()) {
      expect(score).toBeGreaterThanOrEqual(confidence);
      expect(score).toBeLessThanOrEqual(found[i - 1]?.confidence ?? 1);
      expect(Number.isInteger(classId) && classId >= 0 && classId < (layout.classes ?? 10_000)).toBe(true);
      expect(bbox.x >= 0 && bbox.y >= 0 && bbox.width > 0 && bbox.height > 0, JSON.stringify(bbox)).toBe(true);
      expect(bbox.x + bbox.width).toBeLessThanOrEqual(1280.001);
      expect(bbox.y + bbox.height).toBeLessThanOrEqual(720.001);
    }
  }));
});

test.each(hostile)('[INF-6] %s: a lower threshold adds to what is detected and changes nothing of it', (_name, layout, lengths) => {
  const threshold = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(fc.property(fc.tuple(...lengths.map(tensor)), threshold, threshold, (tensors, one, other) => {
    const [low, high] = [Math.min(one, other), Math.max(one, other)];
    expect(decode(layout, tensors, low).filter(({ confidence }) => confidence >= high)).toEqual(decode(layout, tensors, high));
  }));
});

test.each(hostile)('%s: tensors of a wrong length are no result', (_name, layout, lengths) => {
  for (const i of lengths.keys()) {
    if (layout.id === 'top_k' && i === 3) continue; // a count without a value counts nothing
    expect(() => decode(layout, lengths.map((length, j) => new Array<number>(i === j ? length + 1 : length).fill(0)))).toThrow();
  }
  expect(() => decode(layout, [])).toThrow();
});

test('a model that fills its tensor with detections is cut at 300', () => {
  const rows = Array.from({ length: 1000 }, () => [0, 70, 40, 90, 0.75, 0]).flat();
  expect(decode(new EndToEndLayout('o', 1), [rows])).toHaveLength(300);
});
