import { availableParallelism } from 'node:os';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Clock } from '../../core/clock.ts';
import type { Detection } from '../../core/detection.ts';
import { MediaError } from '../../core/errors.ts';
import { letterbox } from '../../core/letterbox.ts';
import { chooseLayout } from '../layouts/choose-layout.ts';
import type { OutputLayout } from '../layouts/layout.ts';
import type { InferenceFrame, InferenceOutcome, ModelInfo } from '../port.ts';
import { toFloatPlanes } from '../preprocess.ts';
import type { Normalisation } from '../preprocess.ts';
import { refuseExternalData } from './external-data.ts';
import { labelsFor, readModelMetadata } from './model-metadata.ts';
import { checkOutputSizes, inputContract } from './tensor-contract.ts';
import type { InputContract } from './tensor-contract.ts';
import { outputValues } from './tensor-values.ts';

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
  readonly #layout: OutputLayout;
  readonly #input: PictureInput;
  readonly #clock: Clock;

  private constructor(info: ModelInfo, session: InferenceSession, layout: OutputLayout, input: PictureInput, clock: Clock) {
    this.info = info;
    this.#session = session;
    this.#layout = layout;
    this.#input = input;
    this.#clock = clock;
  }

  /** Loads, checks the tensors and runs once. Throws INVALID_ARGUMENT or UNPROCESSABLE with what is wrong with the model. */
  static async load(options: LoadOptions): Promise<OnnxModel> {
    const metadata = await readModelMetadata(options.path, options.bytes);
    refuseExternalData(options.bytes);
    let session: InferenceSession;
    try {
      session = await InferenceSession.create(options.bytes, sessionOptions(options.threads));
    } catch (error) {
      throw new MediaError('INVALID_ARGUMENT', error instanceof Error ? error.message : 'ONNX Runtime refused the file', { cause: error });
    }
    try {
      checkOutputSizes(session.outputMetadata.map((output) => {
        if (!output.isTensor) throw new MediaError('UNPROCESSABLE', `the output ${output.name.slice(0, 100)} is no tensor`);
        return { name: output.name, dims: output.shape };
      }));
      const contract = inputContract(session.inputMetadata, session.outputMetadata, metadata);
      const input = new PictureInput(contract, metadata.normalisation);
      const outputs = Object.entries(await session.run({ [contract.name]: input.tensor(new Uint8Array(input.bytes)) })).map(([name, { type, dims }]) => ({ name, type, dims }));
      checkOutputSizes(outputs);
      const layout = chooseLayout(outputs, metadata.hints);
      const { labels } = metadata;
      const info: ModelInfo = {
        name: options.name,
        digest: options.digest,
        inputWidth: contract.width,
        inputHeight: contract.height,
        inputLayout: contract.layout,
        labels: layout.classes === null ? (labels ?? []) : await labelsFor(labels, layout.classes, layout.id === 'classification' ? null : options.bundledFolder),
        defaultConfidence: metadata.defaultConfidence,
        state: 'ready',
        failure: null,
      };
      return new OnnxModel(info, session, layout, input, options.clock);
    } catch (error) {
      await session.release();
      if (error instanceof MediaError) throw error;
      throw new MediaError('INVALID_ARGUMENT', error instanceof Error ? error.message : 'the warm-up run failed', { cause: error });
    }
  }

  async infer(frame: InferenceFrame): Promise<InferenceOutcome> {
    const input = this.#input;
    const { name, width, height } = input.contract;
    if (frame.pixels.length !== input.bytes) {
      throw new MediaError('INVALID_ARGUMENT', `${this.info.name} takes ${input.bytes} bytes of pixels, not ${frame.pixels.length}`);
    }
    const began = this.#clock.monotonic();
    const given = await this.#session.run({ [name]: input.tensor(frame.pixels) }, this.#layout.outputs);
    const values = this.#layout.outputs.map((output) => outputValues(given[output]));
    const place = letterbox(frame.sourceWidth, frame.sourceHeight, width, height);
    const detections: readonly Detection[] = this.#layout.decode(values, frame.confidence, place).map((raw) => ({
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

/** A model's input tensor; its buffer is reused from picture to picture. */
class PictureInput {
  readonly contract: InputContract;
  /** Of the pixels it is made from. */
  readonly bytes: number;
  readonly #normalisation: Normalisation;
  /** For models that take floats. */
  readonly #planes: Float32Array | null;

  constructor(contract: InputContract, normalisation: Normalisation) {
    const { layout, width, height } = contract;
    this.contract = contract;
    this.bytes = 3 * width * height;
    this.#normalisation = normalisation;
    this.#planes = layout === 'u8-nhwc' ? null : new Float32Array(this.bytes);
  }

  /** `pixels`: `bytes` of them. */
  tensor(pixels: Uint8Array): Tensor {
    const { width, height } = this.contract;
    const planes = this.#planes;
    if (planes === null) return new Tensor('uint8', pixels, [1, height, width, 3]);
    toFloatPlanes(pixels, planes, this.#normalisation);
    return new Tensor('float32', planes, [1, 3, height, width]);
  }
}
