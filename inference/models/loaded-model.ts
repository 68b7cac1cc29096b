import type { Clock } from '../../core/clock.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { BatchChoice, InferenceFrame, InferenceOutcome, ModelInfo, ProviderChoice } from '../port.ts';
import type { DeclaredTensor } from './tensor-contract.ts';

/** An input as a client may give it. */
export interface TensorInput extends DeclaredTensor {
  readonly type: InputTensor['type'];
  /** The sizes of the picture the model is given here, the most that a symbolic size takes: no run is longer than a picture's. */
  readonly most: readonly number[];
}

/** `data`: as many values as `dims` says. */
export type InputTensor =
  | { readonly type: 'uint8'; readonly dims: readonly number[]; readonly data: Uint8Array }
  | { readonly type: 'float32'; readonly dims: readonly number[]; readonly data: Float32Array }
  /** `data`: bit patterns. */
  | { readonly type: 'float16'; readonly dims: readonly number[]; readonly data: Uint16Array };

export interface OutputTensor {
  /** ONNX Runtime's name of the element type. */
  readonly type: string;
  readonly dims: readonly number[];
  /** `string[]` for texts. */
  readonly data: ArrayBufferView | readonly string[];
}

/** A model by its tensors, as they are: nothing is scaled or decoded. */
export interface TensorModel {
  readonly inputs: readonly TensorInput[];
  readonly outputs: readonly DeclaredTensor[];
  /** `feeds`: all inputs by name; `outputs`: those wanted. Rejects with what ONNX Runtime says when it fails. */
  run(feeds: Readonly<Record<string, InputTensor>>, outputs: readonly string[]): Promise<Readonly<Record<string, OutputTensor>>>;
}

/** A model's way to look at several pictures in one run. */
export interface PictureBatch {
  /** At most; 2 at least. */
  readonly most: number;
  /** A picture may wait so long for others. */
  readonly delayMs: Milliseconds;
  /** 1 to `most` pictures; what each got, in their order. Rejects when any of them cannot be looked at, as `LoadedModel.infer` does. */
  readonly infer: (frames: readonly InferenceFrame[]) => Promise<readonly InferenceOutcome[]>;
}

/** A model that can be asked. */
export interface LoadedModel extends Disposable {
  readonly info: ModelInfo;
  /** Resolves with the reason when the model can be asked no more: what runs it is gone. Never, where that cannot be or when it is disposed. */
  readonly lost?: Promise<string>;
  /** Resolves when it goes on with the CPU, because what it ran on failed; `info` says so from then on. Never, where it runs on the CPU or on a server. */
  readonly fellBack?: Promise<ProviderChoice>;
  /**
   * One picture. Rejects with INVALID_ARGUMENT for pixels of the wrong length, with UNAVAILABLE or DEADLINE_EXCEEDED when what runs
   * the model gave no answer.
   */
  infer(frame: InferenceFrame): Promise<InferenceOutcome>;
  /** Absent where pictures are looked at one by one. */
  readonly batch?: PictureBatch | undefined;
  /** Absent where a server runs the model. */
  readonly tensors?: TensorModel;
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
  /** Pictures put together at most, unless the sidecar says; absent: 1. */
  readonly batchMax?: number;
  /** A picture may wait so long for others, unless the sidecar says; absent: not at all. */
  readonly batchDelayMs?: Milliseconds;
  /** Of a file with a symbolic batch: what was found when it was tried; absent: one by one. */
  readonly measured?: BatchChoice;
  /** Of an ONNX file: what it is to run on; absent: the CPU. */
  readonly provider?: ProviderChoice;
  /** Holds `coco80.labels.json`. */
  readonly bundledFolder: string;
  readonly clock: Clock;
}
