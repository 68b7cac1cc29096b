import type { DetectionResult } from '../../core/detection.ts';
import type { DrawnBox } from '../../core/drawing/drawn-box.ts';
import type { FramePicture } from '../../core/frame-results.ts';
import type { DrawnInto } from '../port.ts';

/** What is drawn into a picture, in its own pixels, and of which frames that is. */
export interface FrameBoxes {
  readonly boxes: readonly DrawnBox[];
  readonly drawn: DrawnInto;
}

/** More than so many in one picture are not drawn: nothing of it would be seen. */
const MOST_BOXES = 500;

/** The boxes of a picture of `width` × `height` pixels: what `results`, of its own frame or of ones before, say; the most confident of very many. */
export const frameBoxes = ({ frame, capturedAt }: FramePicture, width: number, height: number, results: readonly DetectionResult[]): FrameBoxes => {
  const all = results.flatMap((result) => {
    const [scaleX, scaleY] = [width / result.width, height / result.height]; // the camera may have changed its size meanwhile
    return result.detections.map(({ className, classId, confidence, trackId, bbox }): DrawnBox =>
      ({ className, classId, confidence, trackId, x: bbox.x * scaleX, y: bbox.y * scaleY, width: bbox.width * scaleX, height: bbox.height * scaleY }));
  });
  const boxes = all.length > MOST_BOXES ? all.toSorted((a, b) => b.confidence - a.confidence).slice(0, MOST_BOXES) : all;
  if (results.length === 0) return { boxes, drawn: { how: 'none', ageMs: 0 } };
  if (results.every((result) => result.frame.seq === frame.seq)) return { boxes, drawn: { how: 'exact', ageMs: 0 } };
  return { boxes, drawn: { how: 'held', ageMs: Math.max(0, ...results.map((result) => capturedAt - result.capturedAt)) } };
};
