/** inference/: frames → results, in the worker process; and the extractor's way to it. */
import type { Detection, DetectionResult } from '../core/detection.ts';
import type { CameraId, FrameRef } from '../core/frame-ref.ts';
import type { Milliseconds } from '../core/units.ts';

/** How many pictures of a model run together, and why not more. */
export interface BatchChoice {
  /** At most; 1: one by one. */
  readonly pictures: number;
  /** For the operator. */
  readonly why: string;
}

/** What runs a model in the worker, and why that. */
export interface ProviderChoice {
  /** ONNX Runtime's name of it: `cpu`, `cuda`, … */
  readonly name: string;
  /** For the operator. */
  readonly why: string;
}

export interface ModelInfo {
  readonly name: string;
  /** SHA-256, hex: of the file; of a model that a server runs, of the file and of what the server says of the model. */
  readonly digest: string;
  /** Who runs it: ONNX Runtime in the worker, or a server that speaks KServe v2. */
  readonly backend: 'onnx' | 'kserve';
  readonly inputWidth: number;
  readonly inputHeight: number;
  /** `uint8[height,width,3] RGB`, or `float32[3,height,width] RGB 0..1`, or that in float16. */
  readonly inputLayout: 'u8-nhwc' | 'f32-nchw' | 'f16-nchw';
  readonly labels: readonly string[];
  readonly defaultConfidence: number;
  readonly batch: BatchChoice;
  /** Null: a server runs it, or its worker does not say. */
  readonly provider: ProviderChoice | null;
  readonly state: 'loading' | 'ready' | 'failed';
  readonly failure: string | null;
}

/** A file of `inference.models_dir` that is a model: its name and what runs it. Others there are left alone. */
export const MODEL_FILE = /^([A-Za-z0-9][A-Za-z0-9._-]{0,127}?)\.(onnx|kserve\.json)$/;

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
  /** Of the whole run, however many pictures it had. */
  readonly inferenceMs: number;
  readonly model: string;
  readonly modelDigest: string;
}

/** A share of a pooled pixel buffer. Disposing gives it back, exactly once; after that `bytes` may show another picture. */
export interface PixelLease extends Disposable {
  readonly bytes: Uint8Array;
}

/** A letterboxed picture that a detector of a camera would like to see. */
export interface FrameOffer {
  readonly camera: CameraId;
  /** `DetectorSpec.id`. */
  readonly detector: string;
  readonly model: string;
  /** 0..1; null: the model's own default. */
  readonly confidence: number | null;
  /** What is below that and at least this is told apart, as faint; null: nothing is. */
  readonly faintConfidence: number | null;
  readonly frame: FrameRef;
  readonly capturedAt: Milliseconds;
  readonly sourceWidth: number;
  readonly sourceHeight: number;
  /** `uint8[inputHeight,inputWidth,3] RGB`; owned by the dispatcher from here on. */
  readonly pixels: PixelLease;
  /** It only takes the place of one that waits (`waitsFor`). */
  readonly refresh?: boolean;
}

/** A picture's way through inference, milliseconds. */
export interface InferenceTimings {
  /** From the offer until it was sent, waiting for credit; of the picture whose place it took, if it was offered for that (`refresh`). */
  readonly queueMs: number;
  /** In the worker before the model began. */
  readonly waitMs: number;
  readonly inferenceMs: number;
  /** Of that, by the pictures of its run: what it cost the worker. */
  readonly shareMs: number;
  /** From the offer until the answer. */
  readonly totalMs: number;
}

/** Why an offered picture has no result. */
export type DispatchSkip = 'no_credit' | 'superseded' | 'refreshed' | 'deadline' | 'worker_lost' | 'refused';

export interface DispatchListener {
  /** `faint`: as `FrameOffer.faintConfidence` asked for; no part of the result. */
  onResult(detector: string, result: DetectionResult, timings: InferenceTimings, faint: readonly Detection[]): void;
  /** `model`: that was asked for. */
  onSkip(camera: CameraId, reason: DispatchSkip, model: string): void;
}

/** An edge knows at most so many workers. */
export const MAX_WORKERS = 64;

/** Where a worker listens, and what it wants to be shown there. */
export interface WorkerAddress {
  /** `unix:/path` or `host:port`. */
  readonly address: string;
  readonly token?: string | undefined;
}

/** What a dispatcher knows of one worker. */
export interface WorkerReport {
  readonly address: string;
  readonly connected: boolean;
  /** Pictures it has been sent and not answered. */
  readonly unanswered: number;
  /** Results since the last report. */
  readonly answered: number;
  /** For one picture, as its last answers say; 0: not known. */
  readonly expectedMs: Milliseconds;
}

/** What a dispatcher tells whoever has to say why a picture cannot be looked at. */
export interface ModelDirectory {
  /** A worker has granted credit. */
  readonly connected: boolean;
  /** Every model of every worker by name, in whatever state; of several of one name one that is ready, else the first worker's. */
  models(): ReadonlyMap<string, ModelInfo>;
}

/** Hands pictures to workers as they have credit for them; newest frame wins, cameras take turns. */
export interface FrameDispatcher {
  /** From now on these, in this order. Those that are new are called at once, those that are missing leave a few seconds later, unless they are listed again. */
  setWorkers(workers: readonly WorkerAddress[]): void;
  /** Of each worker, what became of it since this was asked last. */
  reports(): readonly WorkerReport[];
  /** A model that a worker has, ready; undefined while none has it, or none is connected. */
  model(name: string): ModelInfo | undefined;
  /** For how long a picture of this detector has waited for credit; 0: none does. A newer one may be offered in its place (`refresh`), though the detector has had its pictures. */
  waitsFor(camera: CameraId, detector: string): Milliseconds;
  /** Never waits. Exactly one of `onResult` and `onSkip` follows, unless the camera is forgotten first. */
  offer(offer: FrameOffer): void;
  /** What waits for this camera is dropped in silence; what is on its way comes back to nobody. */
  forget(camera: CameraId): void;
}
