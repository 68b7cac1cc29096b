/**
 * The output of YOLO exports without NMS: float32 [1, 4 + classes, anchors], channel-major. Rows 0–3 are cx, cy, width and height in
 * input pixels, the others class scores 0..1. One detection per anchor (its best class), then greedy NMS within each class.
 */
import type { Box } from '../../core/detection.ts';
import type { Letterbox } from '../../core/letterbox.ts';
import type { OutputContract } from '../models/tensor-contract.ts';

/** Two boxes of one class that overlap more than this are one object. */
export const NMS_IOU = 0.5;
/** A hostile or mis-set threshold must not make NMS quadratic in all anchors. */
const MAX_CANDIDATES = 1000;
const MAX_DETECTIONS = 300;

export interface RawDetection {
  readonly classId: number;
  readonly confidence: number;
  /** In pixels of the source picture, clipped to it. */
  readonly bbox: Box;
}

interface Candidate {
  readonly classId: number;
  readonly score: number;
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
}

/**
 * Scores of int8 models are few values, so neighbours of one object often tie exactly. The smaller box goes first then: the larger is the
 * one that spans two objects.
 */
const area = (box: Candidate): number => (box.x2 - box.x1) * (box.y2 - box.y1);

const iou = (a: Candidate, b: Candidate): number => {
  const width = Math.min(a.x2, b.x2) - Math.max(a.x1, b.x1);
  const height = Math.min(a.y2, b.y2) - Math.max(a.y1, b.y1);
  if (width <= 0 || height <= 0) return 0;
  const both = width * height;
  return both / (area(a) + area(b) - both);
};

/** Keeps the best box of each cluster: class by class, in order of falling score. `sorted` must be so ordered. */
const suppress = (sorted: readonly Candidate[]): readonly Candidate[] => {
  const kept: Candidate[] = [];
  for (const candidate of sorted) {
    if (kept.length >= MAX_DETECTIONS) break;
    if (!kept.some((other) => other.classId === candidate.classId && iou(other, candidate) > NMS_IOU)) kept.push(candidate);
  }
  return kept;
};

const clamp = (value: number, max: number): number => Math.min(max, Math.max(0, value));

/** Input pixels → source pixels, clipped to the picture; null when nothing of the box lies in it. */
const toSource = (box: Candidate, place: Letterbox): Box | null => {
  const scaleX = place.sourceWidth / place.width;
  const scaleY = place.sourceHeight / place.height;
  const x1 = clamp((box.x1 - place.left) * scaleX, place.sourceWidth);
  const x2 = clamp((box.x2 - place.left) * scaleX, place.sourceWidth);
  const y1 = clamp((box.y1 - place.top) * scaleY, place.sourceHeight);
  const y2 = clamp((box.y2 - place.top) * scaleY, place.sourceHeight);
  return x2 > x1 && y2 > y1 ? { x: x1, y: y1, width: x2 - x1, height: y2 - y1 } : null;
};

/** Decodes one model's outputs; keeps its working buffers from run to run. */
export class YoloLayout {
  readonly #output: OutputContract;
  readonly #best: Float32Array;
  readonly #bestClass: Uint16Array;

  constructor(output: OutputContract) {
    this.#output = output;
    this.#best = new Float32Array(output.anchors);
    this.#bestClass = new Uint16Array(output.anchors);
  }

  /** `tensor`: `4 + classes` rows of `anchors`. Detections of at least `confidence`, best first, at most 300. Values that are no numbers are no detections. */
  decode(tensor: Float32Array, confidence: number, place: Letterbox): readonly RawDetection[] {
    this.#rate(tensor);
    const candidates = this.#collect(tensor, confidence);
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
    const { classes, anchors } = this.#output;
    const best = this.#best;
    const bestClass = this.#bestClass;
    best.fill(-1);
    for (let c = 0, at = 4 * anchors; c < classes; c++) {
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
    const { anchors } = this.#output;
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
