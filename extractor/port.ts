/** extractor/: Hub → decoded frames → detections. The edge's side; pixels never leave the child processes. */
import type { DetectionResult } from '../core/detection.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { Hub, Publishable } from '../core/hub.ts';

export interface DetectionUnit extends Publishable {
  readonly result: DetectionResult;
}

export type SkipReason = 'fps' | 'no_credit' | 'superseded' | 'deadline' | 'worker_lost' | 'refused' | 'decoder_error' | 'decoder_restart' | 'queue_full' | 'too_large';

export interface ExtractorStats {
  readonly decodersActive: number;
  readonly decodedFrames: number;
  readonly inferredFrames: number;
  readonly skipped: Readonly<Partial<Record<SkipReason, number>>>;
}

export interface DetectionSource {
  /** Every result of the camera, of all its detectors. */
  detections(camera: CameraId): Hub<DetectionUnit>;
  stats(camera: CameraId): ExtractorStats | null;
}
