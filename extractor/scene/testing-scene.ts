/** Pictures and scenes for the tests of rules. */
import type { Detection, DetectionResult } from '../../core/detection.ts';
import type { Scene, SceneZone } from '../../media-control/port.ts';

/** The left half of the picture. */
export const LEFT_HALF: SceneZone = { id: 'left', polygon: [[0, 0], [0.5, 0], [0.5, 1], [0, 1]] };

export const NOTHING: Scene = { classes: [], zonesOnly: false, anchor: 'foot', zones: [], lines: [], rules: [] };

/** An object of 20 x 40 pixels whose foot is at x, y. */
export const objectAt = (x: number, y: number, trackId: string | null = '1', className = 'person', confidence = 0.9): Detection => ({ className, classId: 0, confidence, bbox: { x: x - 10, y: y - 40, width: 20, height: 40 }, trackId });

/** A picture of 1000 x 500 pixels, captured so many ms after the first. */
export const pictureAt = (ms: number, ...detections: readonly Detection[]): DetectionResult => ({
  frame: { stream: 'line-1', epoch: 1, rtpTs: ms * 90, captureNtp: null, seq: ms }, capturedAt: 1_750_000_000_000 + ms, model: 'm', modelDigest: 'd', inferenceMs: 1, width: 1000, height: 500, detections,
});
