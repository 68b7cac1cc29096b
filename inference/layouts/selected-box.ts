import type { Letterbox } from '../../core/letterbox.ts';
import { toSource } from './corner-box.ts';
import type { CornerBox } from './corner-box.ts';
import { MAX_CLASSES, MAX_DETECTIONS } from './layout.ts';
import type { RawDetection } from './layout.ts';

/** A box that the model itself selected; any value may be anything. */
export interface SelectedBox extends CornerBox {
  readonly score: number;
  /** A whole number ≥ 0. */
  readonly classId: number;
}

/**
 * The boxes of a model that has selected by itself, best first, as detections: those of at least `confidence` that lie in the picture
 * and have one of its `classes` (null: one of any 10,000). No NMS: what the model keeps is kept.
 */
export const detectionsOf = (boxes: Iterable<SelectedBox>, classes: number | null, confidence: number, place: Letterbox): readonly RawDetection[] => {
  const found: RawDetection[] = [];
  for (const box of boxes) {
    const { score, classId } = box;
    if (!(score >= confidence) || !(score >= 0) || !Number.isInteger(classId) || classId < 0 || classId >= (classes ?? MAX_CLASSES)) continue;
    const bbox = [box.x1, box.y1, box.x2, box.y2].every(Number.isFinite) ? toSource(box, place) : null;
    if (bbox) found.push({ classId, confidence: Math.min(1, score), bbox });
  }
  return found.sort((a, b) => b.confidence - a.confidence).slice(0, MAX_DETECTIONS);
};
