/**
 * The output of YOLO exports without NMS: float [1, 4 + classes, anchors], channel-major. Rows 0–3 are cx, cy, width and height in
 * input pixels, the others class scores 0..1. One detection per anchor (its best class), then greedy NMS within each class.
 */
import { MediaError } from '../../core/errors.ts';
import type { Letterbox } from '../../core/letterbox.ts';
import { area, iou, toSource } from './corner-box.ts';
import type { CornerBox } from './corner-box.ts';
import { MAX_ANCHORS, MAX_CLASSES, MAX_DETECTIONS, describeOutput, isFloat } from './layout.ts';
import type { LayoutKind, OutputLayout, OutputValues, RawDetection } from './layout.ts';

/** Two boxes of one class that overlap more than this are one object. */
export const NMS_IOU = 0.5;
/** A hostile or mis-set threshold must not make NMS quadratic in all anchors. */
const MAX_CANDIDATES = 1000;

interface Candidate extends CornerBox {
  readonly classId: number;
  readonly score: number;
}

/** Keeps the best box of each cluster: class by class, in order of falling score. `sorted` must be so ordered. */
const suppress = (sorted: readonly Candidate[]): readonly Candidate[] => {
  const kept: Candidate[] = [];
  for (const candidate of sorted) {
    if (kept.length >= MAX_DETECTIONS) break;
    if (!kept.some((other) => other.classId === candidate.classId && iou(other, candidate) > NMS_IOU)) kept.push(candidate);
  }
  return kept;
};

export interface YoloShape {
  /** The tensor's name. */
  readonly output: string;
  readonly classes: number;
  readonly anchors: number;
}

export class YoloLayout implements OutputLayout {
  readonly id = 'yolo';
  readonly outputs: readonly string[];
  readonly classes: number;
  readonly #anchors: number;
  readonly #best: Float32Array;
  readonly #bestClass: Uint16Array;

  constructor({ output, classes, anchors }: YoloShape) {
    this.outputs = [output];
    this.classes = classes;
    this.#anchors = anchors;
    this.#best = new Float32Array(anchors);
    this.#bestClass = new Uint16Array(anchors);
  }

  decode([output]: readonly OutputValues[], confidence: number, place: Letterbox): readonly RawDetection[] {
    const tensor = output?.values;
    if (tensor?.length !== (4 + this.classes) * this.#anchors) throw new Error(`${tensor?.length ?? 0} values are not ${4 + this.classes} rows of ${this.#anchors} anchors`);
    this.#rate(tensor);
    const candidates = this.#collect(tensor, confidence);
    // Scores of int8 models are few values, so neighbours of one object often tie exactly. The smaller box goes first then: the larger
    // is the one that spans two objects.
    candidates.sort((a, b) => b.score - a.score || area(a) - area(b));
    const detections: RawDetection[] = [];
    for (const kept of suppress(candidates.slice(0, MAX_CANDIDATES))) {
      const bbox = toSource(kept, place);
      if (bbox) detections.push({ classId: kept.classId, confidence: Math.min(1, kept.score), bbox });
    }
    return detections;
  }

  /** The best class of every anchor; row by row, as the values lie in memory. */
  #rate(tensor: Float32Array): void {
    const anchors = this.#anchors;
    const best = this.#best;
    const bestClass = this.#bestClass;
    best.fill(-1);
    for (let c = 0, at = 4 * anchors; c < this.classes; c++) {
      for (let i = 0; i < anchors; i++, at++) {
        const score = tensor[at] ?? 0;
        if (score > (best[i] ?? 0)) {
          best[i] = score;
          bestClass[i] = c;
        }
      }
    }
  }

  #collect(tensor: Float32Array, confidence: number): Candidate[] {
    const anchors = this.#anchors;
    const candidates: Candidate[] = [];
    for (let i = 0; i < anchors; i++) {
      const score = this.#best[i] ?? -1;
      if (score < confidence || score < 0) continue;
      const cx = tensor[i] ?? 0;
      const cy = tensor[anchors + i] ?? 0;
      const halfWidth = (tensor[2 * anchors + i] ?? 0) / 2;
      const halfHeight = (tensor[3 * anchors + i] ?? 0) / 2;
      if (!Number.isFinite(cx) || !Number.isFinite(cy) || !(halfWidth > 0 && halfWidth < Infinity) || !(halfHeight > 0 && halfHeight < Infinity)) continue;
      candidates.push({ classId: this.#bestClass[i] ?? 0, score, x1: cx - halfWidth, y1: cy - halfHeight, x2: cx + halfWidth, y2: cy + halfHeight });
    }
    return candidates;
  }
}

export const yolo: LayoutKind = {
  id: 'yolo',
  shape: 'float[1, 4 + classes, anchors]',
  of: (outputs, hints) => {
    const output = outputs[0];
    if (outputs.length !== 1 || !output || !isFloat(output.type) || output.dims.length !== 3) return null;
    const [batch, rows = 0, anchors = 0] = output.dims;
    const classes = rows - 4;
    if (batch !== 1 || classes < 1 || anchors < 1) return null;
    // [1, boxes, values] would look like hundreds of classes of a few anchors, unless the names say that it is right.
    if (anchors <= rows && classes !== hints.classes) return null;
    if (classes > MAX_CLASSES) throw new MediaError('UNPROCESSABLE', `output ${describeOutput(output)} has ${classes} classes, at most ${MAX_CLASSES} are taken`);
    if (anchors > MAX_ANCHORS) throw new MediaError('UNPROCESSABLE', `output ${describeOutput(output)} has ${anchors} anchors, at most ${MAX_ANCHORS} are taken`);
    return new YoloLayout({ output: output.name, classes, anchors });
  },
};
