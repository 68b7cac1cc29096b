import { availableParallelism } from 'node:os';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Clock } from '../../core/clock.ts';
import type { Detection } from '../../core/detection.ts';
import { MediaError } from '../../core/errors.ts';
import { letterbox } from '../../core/letterbox.ts';
import { YoloLayout } from '../layouts/yolo.ts';
import type { InferenceFrame, InferenceOutcome, ModelInfo } from '../port.ts';
import { toFloatPlanes } from '../preprocess.ts';
import { labelsFor, readModelMetadata } from './model-metadata.ts';
import { inputContract, outputContract } from './tensor-contract.ts';
import type { InputContract } from './tensor-contract.ts';

/** A model that can be asked. */
export interface LoadedModel extends Disposable {
  readonly info: ModelInfo;
  /** One picture. Runs on the caller's thread; a second call waits for the first. Rejects with INVALID_ARGUMENT for pixels of the wrong length. */
  infer(frame: InferenceFrame): Promise<InferenceOutcome>;
}

export interface LoadOptions {
  readonly name: string;
  /** The `.onnx` file, for its sidecars. */
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

const sessionOptions = (threads: number): InferenceSession.SessionOptions => ({
  executionProviders: ['cpu'],
  executionMode: 'sequential',
  intraOpNumThreads: threads > 0 ? threads : Math.min(availableParallelism(), 4),
  interOpNumThreads: 1,
  graphOptimizationLevel: 'all',
  // Errors only: what the file's maker did wrong comes as an exception.
  logSeverityLevel: 3,
  extra: {
    session: {
      // Threads that spin between pictures double the CPU of a live stream (measured: 88 → 42 ms per picture).
      intra_op: { allow_spinning: '0' },
      // CPUs with AVX2 but no VNNI add int8 products in 16 bits and overflow: a person of score .62 was lost. Exact there, 7 % slower; no change elsewhere.
      x64quantprecision: '1',
    },
  },
});

/** An ONNX Runtime session with its pre- and post-processing; its buffers are reused from picture to picture. */
export class OnnxModel implements LoadedModel {
  readonly info: ModelInfo;
  readonly #session: InferenceSession;
  readonly #layout: YoloLayout;
  readonly #input: InputContract;
  readonly #outputName: string;
  /** For models that take floats. */
  readonly #planes: Float32Array | null;
  readonly #clock: Clock;

  private constructor(info: ModelInfo, session: InferenceSession, layout: YoloLayout, input: InputContract, outputName: string, planes: Float32Array | null, clock: Clock) {
    this.info = info;
    this.#session = session;
    this.#layout = layout;
    this.#input = input;
    this.#outputName = outputName;
    this.#planes = planes;
    this.#clock = clock;
  }

  /** Loads, checks the tensors and runs once. Throws INVALID_ARGUMENT or UNPROCESSABLE with what is wrong with the model. */
  static async load(options: LoadOptions): Promise<OnnxModel> {
    const metadata = await readModelMetadata(options.path, options.bytes);
    let session: InferenceSession;
    try {
      session = await InferenceSession.create(options.bytes, sessionOptions(options.threads));
    } catch (error) {
      throw new MediaError('INVALID_ARGUMENT', error instanceof Error ? error.message : 'ONNX Runtime refused the file', { cause: error });
    }
    try {
      const input = inputContract(session.inputMetadata, metadata);
      const outputName = session.outputNames[0];
      if (session.outputNames.length !== 1 || outputName === undefined) throw new MediaError('UNPROCESSABLE', `a detector gives one tensor, this one gives ${session.outputNames.length}`);
      const planes = input.layout === 'f32-nchw' ? new Float32Array(3 * input.width * input.height) : null;
      const outputs = await session.run({ [input.name]: tensorOf(input, new Uint8Array(3 * input.width * input.height), planes) });
      const warm = outputs[outputName];
      if (!warm) throw new MediaError('UNPROCESSABLE', 'the warm-up run gave nothing');
      const contract = outputContract(warm.type, warm.dims, metadata.labels?.length ?? null);
      const info: ModelInfo = {
        name: options.name,
        digest: options.digest,
        inputWidth: input.width,
        inputHeight: input.height,
        inputLayout: input.layout,
        labels: await labelsFor(metadata, contract.classes, options.bundledFolder),
        defaultConfidence: metadata.defaultConfidence,
        state: 'ready',
        failure: null,
      };
      return new OnnxModel(info, session, new YoloLayout(contract), input, outputName, planes, options.clock);
    } catch (error) {
      await session.release();
      if (error instanceof MediaError) throw error;
      throw new MediaError('INVALID_ARGUMENT', error instanceof Error ? error.message : 'the warm-up run failed', { cause: error });
    }
  }

  async infer(frame: InferenceFrame): Promise<InferenceOutcome> {
    const { width, height } = this.#input;
    if (frame.pixels.length !== 3 * width * height) {
      throw new MediaError('INVALID_ARGUMENT', `${this.info.name} takes ${3 * width * height} bytes of pixels, not ${frame.pixels.length}`);
    }
    const began = this.#clock.monotonic();
    const outputs = await this.#session.run({ [this.#input.name]: tensorOf(this.#input, frame.pixels, this.#planes) });
    const data = outputs[this.#outputName]?.data;
    if (!(data instanceof Float32Array)) throw new Error(`${this.info.name} gave no floats`);
    const place = letterbox(frame.sourceWidth, frame.sourceHeight, width, height);
    const detections: readonly Detection[] = this.#layout.decode(data, frame.confidence, place).map((raw) => ({
      className: this.info.labels[raw.classId] ?? `class ${raw.classId}`,
      classId: raw.classId,
      confidence: raw.confidence,
      bbox: raw.bbox,
      trackId: null,
    }));
    return { detections, inferenceMs: this.#clock.monotonic() - began, model: this.info.name, modelDigest: this.info.digest };
  }

  [Symbol.dispose](): void {
    void this.#session.release();
  }
}

const tensorOf = (input: InputContract, pixels: Uint8Array, planes: Float32Array | null): Tensor => {
  if (planes === null) return new Tensor('uint8', pixels, [1, input.height, input.width, 3]);
  toFloatPlanes(pixels, planes);
  return new Tensor('float32', planes, [1, 3, input.height, input.width]);
};
