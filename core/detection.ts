import type { FrameRef } from './frame-ref.ts';
import type { Milliseconds } from './units.ts';

/** A rectangle in pixels of the encoded picture; x, y = top left. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Intersection over union, 0..1; 0 where one has no area. */
export const iou = (a: Box, b: Box): number => {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  if (!(width > 0 && height > 0)) return 0;
  const common = width * height;
  return common / (a.width * a.height + b.width * b.height - common);
};

export interface Detection {
  readonly className: string;
  readonly classId: number;
  /** 0..1 */
  readonly confidence: number;
  readonly bbox: Box;
  /** Which object it is: one of the camera, within an epoch. Null: nobody says. */
  readonly trackId: string | null;
  /** The zones of the camera's scene it is in; absent: there are none. */
  readonly zones?: readonly string[];
}

/** What one model said about one picture; `detections` may be empty. */
export interface DetectionResult {
  readonly frame: FrameRef;
  readonly capturedAt: Milliseconds;
  readonly model: string;
  /** SHA-256 of the model file, hex. */
  readonly modelDigest: string;
  /** Time in the model alone. */
  readonly inferenceMs: number;
  /** Encoded picture size the boxes refer to. */
  readonly width: number;
  readonly height: number;
  readonly detections: readonly Detection[];
}

/** The message of the data channel `detections` and of the WebSocket `detections/live` (contract 0.4). */
export const toDetectionsMessage = (result: DetectionResult) => ({
  type: 'detections' as const,
  camera: result.frame.stream,
  epoch: result.frame.epoch,
  rtp_timestamp: result.frame.rtpTs,
  captured_at: new Date(result.capturedAt).toISOString(),
  sequence: result.frame.seq,
  model: result.model,
  inference_ms: result.inferenceMs,
  width: result.width,
  height: result.height,
  detections: result.detections.map((d) => ({
    class_name: d.className,
    class_id: d.classId,
    confidence: d.confidence,
    bbox: d.bbox,
    track_id: d.trackId,
    ...(d.zones && { zones: d.zones }),
  })),
});
