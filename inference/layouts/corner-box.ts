import type { Box } from '../../core/detection.ts';
import type { Letterbox } from '../../core/letterbox.ts';

/** A box by two of its corners, in pixels of the model's input. */
export interface CornerBox {
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
}

export const area = (box: CornerBox): number => (box.x2 - box.x1) * (box.y2 - box.y1);

/** Intersection over union, 0..1. */
export const iou = (a: CornerBox, b: CornerBox): number => {
  const width = Math.min(a.x2, b.x2) - Math.max(a.x1, b.x1);
  const height = Math.min(a.y2, b.y2) - Math.max(a.y1, b.y1);
  if (width <= 0 || height <= 0) return 0;
  const both = width * height;
  return both / (area(a) + area(b) - both);
};

const clamp = (value: number, max: number): number => Math.min(max, Math.max(0, value));

/** Input pixels → source pixels, clipped to the picture; null when nothing of the box lies in it, or a corner is no number. */
export const toSource = (box: CornerBox, place: Letterbox): Box | null => {
  const scaleX = place.sourceWidth / place.width;
  const scaleY = place.sourceHeight / place.height;
  const x1 = clamp((box.x1 - place.left) * scaleX, place.sourceWidth);
  const x2 = clamp((box.x2 - place.left) * scaleX, place.sourceWidth);
  const y1 = clamp((box.y1 - place.top) * scaleY, place.sourceHeight);
  const y2 = clamp((box.y2 - place.top) * scaleY, place.sourceHeight);
  return x2 > x1 && y2 > y1 ? { x: x1, y: y1, width: x2 - x1, height: y2 - y1 } : null;
};
