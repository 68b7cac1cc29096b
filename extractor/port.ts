/** extractor/: Hub → decoded frames → detections. The edge's side; pixels never leave the child processes. */
import type { DetectionResult } from '../core/detection.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { Hub, Publishable } from '../core/hub.ts';
import type { Milliseconds } from '../core/units.ts';
import type { CodedPictures } from '../recorder/port.ts';

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

/** A detector to run on recorded pictures. */
export interface RecordedDetector {
  readonly id: string;
  readonly model: string;
  /** 0..1; null: the model's own default. */
  readonly confidence: number | null;
}

/** One segment's round. */
export interface RecordedRound {
  readonly camera: string;
  readonly pictures: CodedPictures;
  readonly detectors: readonly RecordedDetector[];
  /** Pictures a second of media time that detectors see. */
  readonly fps: number;
  /** Only pictures captured in [from, to), Unix ms. */
  readonly from: Milliseconds;
  readonly to: Milliseconds;
}

export interface RoundOutcome {
  /** By picture, then in the order of the detectors: the same for the same pictures and models. */
  readonly results: readonly { readonly detector: string; readonly result: DetectionResult }[];
  /** Pictures looked at; pictures that could not be decoded, because they or those before them are damaged. */
  readonly shown: number;
  readonly undecodable: number;
}
