import type { Clock } from '../../core/clock.ts';
import type { InferenceFrame, InferenceOutcome, ModelInfo } from '../port.ts';

/** A model that can be asked. */
export interface LoadedModel extends Disposable {
  readonly info: ModelInfo;
  /** Resolves with the reason when the model can be asked no more: what runs it is gone. Never, where that cannot be or when it is disposed. */
  readonly lost?: Promise<string>;
  /**
   * One picture. Rejects with INVALID_ARGUMENT for pixels of the wrong length, with UNAVAILABLE or DEADLINE_EXCEEDED when what runs
   * the model gave no answer.
   */
  infer(frame: InferenceFrame): Promise<InferenceOutcome>;
}

export interface LoadOptions {
  readonly name: string;
  /** The model's file, for its sidecars. */
  readonly path: string;
  readonly bytes: Uint8Array;
  /** SHA-256 of `bytes`, hex. */
  readonly digest: string;
  /** 0 = as many as there are cores, at most 4. */
  readonly threads: number;
  /** Holds `coco80.labels.json`. */
  readonly bundledFolder: string;
  readonly clock: Clock;
}
