/**
 * The outputs of SSD and CenterNet exports with a built-in top-k: boxes [1, k, 4], scores [1, k], classes [1, k], and how many of them
 * count. Those of the TensorFlow Object Detection API are `detection_boxes` (y1, x1, y2, x2 as shares of the input),
 * `detection_scores`, `detection_classes` (the first is 1) and `num_detections`; others say in their sidecar how their boxes are written.
 */
import { MediaError } from '../../core/errors.ts';
import type { Letterbox } from '../../core/letterbox.ts';
import { MAX_ANCHORS, describeOutput, isFloat } from './layout.ts';
import type { BoxConvention, LayoutKind, OutputLayout, OutputShape, OutputValues, RawDetection } from './layout.ts';
import { detectionsOf } from './selected-box.ts';
import type { SelectedBox } from './selected-box.ts';

export interface TopKShape {
  readonly boxes: string;
  readonly scores: string;
  readonly classIds: string;
  /** Null: all of them count. */
  readonly count: string | null;
  readonly convention: BoxConvention;
  /** The class id that the first name belongs to. */
  readonly firstClass: number;
  /** How many names there are. */
  readonly classes: number | null;
}

export class TopKLayout implements OutputLayout {
  readonly id = 'top_k';
  readonly outputs: readonly string[];
  readonly classes: number | null;
  readonly #shape: TopKShape;

  constructor(shape: TopKShape) {
    this.outputs = [shape.boxes, shape.scores, shape.classIds, ...(shape.count === null ? [] : [shape.count])];
    this.classes = shape.classes;
    this.#shape = shape;
  }

  decode([boxes, scores, classIds, count]: readonly OutputValues[], confidence: number, place: Letterbox): readonly RawDetection[] {
    const k = scores?.values.length ?? 0;
    if (!boxes || !scores || !classIds || k > MAX_ANCHORS || boxes.values.length !== 4 * k || classIds.values.length !== k) {
      throw new Error(`${boxes?.values.length ?? 0} box values, ${k} scores and ${classIds?.values.length ?? 0} classes do not belong together`);
    }
    const counted = Math.min(k, count ? Math.max(0, count.values[0] ?? 0) || 0 : k);
    return detectionsOf(this.#boxes(boxes.values, scores.values, classIds.values, counted, place), this.classes, confidence, place);
  }

  *#boxes(boxes: Float32Array, scores: Float32Array, classIds: Float32Array, counted: number, place: Letterbox): Generator<SelectedBox> {
    const { convention, firstClass } = this.#shape;
    const normalised = convention.endsWith('_normalised');
    const width = normalised ? place.inputWidth : 1;
    const height = normalised ? place.inputHeight : 1;
    for (let i = 0; i < counted; i++) {
      const [a = 0, b = 0, c = 0, d = 0] = boxes.subarray(4 * i, 4 * i + 4);
      const [x1, y1, x2, y2] = convention.startsWith('yxyx') ? [b, a, d, c] : [a, b, c, d];
      yield { x1: x1 * width, y1: y1 * height, x2: x2 * width, y2: y2 * height, score: scores[i] ?? 0, classId: (classIds[i] ?? -1) - firstClass };
    }
  }
}

/** The one output whose name matches. TensorFlow writes `name:0`, and gives raw and per-class tensors beside the selected ones. */
const named = (outputs: readonly OutputShape[], pattern: RegExp): OutputShape | null => {
  const matching = outputs.filter(({ name }) => pattern.test(name) && !/raw|multiclass|anchor/i.test(name));
  return matching.length === 1 ? (matching[0] ?? null) : null;
};

/** [1, k, …] or [k, …]: null when it is neither. */
const listed = ({ dims }: OutputShape, rank: 1 | 2): readonly number[] | null => {
  if (dims.length === rank) return dims;
  return dims.length === rank + 1 && dims[0] === 1 ? dims.slice(1) : null;
};

const isNumber = (type: string): boolean => isFloat(type) || type === 'int32' || type === 'int64';

export const topK: LayoutKind = {
  id: 'top_k',
  shape: 'boxes float[1, k, 4] with scores float[1, k], classes [1, k] and, if it has one, a count (named …boxes, …scores, …classes or …labels, num…)',
  of: (outputs, hints) => {
    if (outputs.length < 3) return null;
    const boxes = named(outputs, /box/i);
    const scores = named(outputs, /score/i);
    const classIds = named(outputs, /class|label/i);
    const count = named(outputs, /(^|[/_])num|count/i);
    if (!boxes || !scores || !classIds || !isFloat(boxes.type) || !isFloat(scores.type) || !isNumber(classIds.type)) return null;
    const [k, corners] = listed(boxes, 2) ?? [];
    if (k === undefined || corners !== 4 || listed(scores, 1)?.[0] !== k || listed(classIds, 1)?.[0] !== k) return null;
    if (count && (!isNumber(count.type) || count.dims.reduce((a, b) => a * b, 1) !== 1)) return null;
    if (k > MAX_ANCHORS) throw new MediaError('UNPROCESSABLE', `output ${boxes.name} ${describeOutput(boxes)} has ${k} boxes, at most ${MAX_ANCHORS} are taken`);
    const tensorFlow = /(^|\/)detection_boxes(:0)?$/.test(boxes.name);
    const convention = hints.boxes ?? (tensorFlow ? 'yxyx_normalised' : null);
    if (convention === null) throw new MediaError('UNPROCESSABLE', `output ${boxes.name} ${describeOutput(boxes)} holds boxes: its sidecar must say how they are written ("boxes")`);
    return new TopKLayout({
      boxes: boxes.name, scores: scores.name, classIds: classIds.name, count: count?.name ?? null, convention,
      firstClass: hints.firstClass ?? (tensorFlow ? 1 : 0), classes: hints.classes,
    });
  },
};
