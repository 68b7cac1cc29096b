/** inference/: frames → results, in the worker process. */
import type { Detection } from '../core/detection.ts';

export interface ModelInfo {
  readonly name: string;
  /** SHA-256 of the file, hex. */
  readonly digest: string;
  readonly inputWidth: number;
  readonly inputHeight: number;
  /** `uint8[height,width,3] RGB` or `float32[3,height,width] RGB 0..1`. */
  readonly inputLayout: 'u8-nhwc' | 'f32-nchw';
  readonly labels: readonly string[];
  readonly defaultConfidence: number;
  readonly state: 'loading' | 'ready' | 'failed';
  readonly failure: string | null;
}

/** One letterboxed picture for a detector. */
export interface InferenceFrame {
  /** `uint8[inputHeight,inputWidth,3] RGB`, letterboxed, pad 114. */
  readonly pixels: Uint8Array;
  /** Encoded picture size, which results refer to. */
  readonly sourceWidth: number;
  readonly sourceHeight: number;
  /** 0..1 */
  readonly confidence: number;
}

export interface InferenceOutcome {
  readonly detections: readonly Detection[];
  readonly inferenceMs: number;
  readonly model: string;
  readonly modelDigest: string;
}
