import { availableParallelism } from 'node:os';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Clock } from '../../core/clock.ts';
import { MediaError, invariant } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { OutputValues } from '../layouts/layout.ts';
import type { BatchChoice, InferenceFrame, InferenceOutcome, ModelInfo } from '../port.ts';
import { chooseBatch, decideBatch } from './batch-choice.ts';
import { refuseExternalData } from './external-data.ts';
import { int8OverflowsHere } from './int8-overflow.ts';
import type { InputTensor, LoadedModel, LoadOptions, PictureBatch, TensorModel } from './loaded-model.ts';
import { readModelMetadata } from './model-metadata.ts';
import type { ModelMetadata } from './model-metadata.ts';
import { PictureInput } from './picture-input.ts';
import { PictureModel } from './picture-model.ts';
import { splitOutputs } from './split-outputs.ts';
import { checkOutputSizes, inputContract } from './tensor-contract.ts';
import type { DeclaredTensor, InputContract } from './tensor-contract.ts';
import { outputValues } from './tensor-values.ts';

const sessionOptions = (threads: number, exactInt8: boolean): InferenceSession.SessionOptions => ({
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
      x64quantprecision: exactInt8 ? '1' : '0',
    },
  },
});

/** Throws UNPROCESSABLE for sequences and maps. */
const declared = (values: readonly InferenceSession.ValueMetadata[], what: 'input' | 'output'): readonly DeclaredTensor[] =>
  values.map((value) => {
    if (!value.isTensor) throw new MediaError('UNPROCESSABLE', `the ${what} ${value.name.slice(0, 100)} is no tensor`);
    return { name: value.name, type: value.type, dims: value.shape };
  });

const toTensor = ({ type, data, dims }: InputTensor): Tensor => (type === 'uint8' ? new Tensor(type, data, dims) : new Tensor(type, data, dims));

/** A session that is released once nobody runs it: what replaces it may come in the middle of a run, which ONNX Runtime begins later than it is told to. */
class Runs implements Disposable {
  readonly #session: InferenceSession;
  #underWay = 0;
  #disposed = false;

  constructor(session: InferenceSession) {
    this.#session = session;
  }

  async run(feeds: InferenceSession.FeedsType, outputs: readonly string[]): Promise<InferenceSession.ReturnType> {
    this.#underWay++;
    try {
      return await this.#session.run(feeds, outputs);
    } finally {
      this.#underWay--;
      this.#releaseIfDone();
    }
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#releaseIfDone();
  }

  #releaseIfDone(): void {
    if (this.#disposed && this.#underWay === 0) void this.#session.release();
  }
}

/** What the session takes and gives, without the picture. */
const tensorsOf = (runs: Runs, { layout, width, height, batch }: InputContract, inputs: readonly DeclaredTensor[], outputs: readonly DeclaredTensor[]): TensorModel => ({
  inputs: inputs.map(({ name, dims }) => (layout === 'u8-nhwc' ? { name, type: 'uint8', dims, most: [batch ?? 1, height, width, 3] } : { name, type: 'float32', dims, most: [batch ?? 1, 3, height, width] })),
  outputs,
  run: (feeds, wanted) => runs.run(Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, toTensor(tensor)])), wanted),
});

/** What each of the pictures gets: `outputs` in their order. */
const runPictures = async (runs: Runs, input: PictureInput, pictures: readonly Uint8Array[], outputs: readonly string[]): Promise<readonly (readonly OutputValues[])[]> => {
  const given = await runs.run({ [input.contract.name]: toTensor(input.tensor(pictures)) }, outputs);
  return splitOutputs(outputs.map((output) => outputValues(given[output])), input.pictures(pictures.length));
};

interface Parts {
  readonly runs: Runs;
  readonly model: PictureModel;
  readonly metadata: ModelMetadata;
  readonly tensors: TensorModel;
  readonly input: PictureInput;
  readonly batch: BatchChoice;
}

/** An ONNX Runtime session with its pre- and post-processing; its buffers are reused from run to run. */
export class OnnxModel implements LoadedModel {
  readonly info: ModelInfo;
  readonly batch?: PictureBatch;
  readonly tensors: TensorModel;
  readonly #parts: Parts;
  readonly #clock: Clock;

  private constructor(parts: Parts, { batchDelayMs = 0, clock }: LoadOptions) {
    const { pictures } = parts.batch;
    this.info = { ...parts.model.info, batch: parts.batch };
    this.tensors = parts.tensors;
    this.#parts = parts;
    this.#clock = clock;
    if (pictures > 1) this.batch = { most: pictures, delayMs: parts.metadata.batchDelayMs ?? batchDelayMs, infer: (frames) => this.#infer(frames) };
  }

  /** Loads, checks the tensors and runs once. Throws INVALID_ARGUMENT or UNPROCESSABLE with what is wrong with the model. */
  static async load(options: LoadOptions): Promise<OnnxModel> {
    const { name, digest, bundledFolder } = options;
    const metadata = await readModelMetadata(options.path, options.bytes);
    refuseExternalData(options.bytes);
    let session: InferenceSession;
    try {
      session = await InferenceSession.create(options.bytes, sessionOptions(options.threads, await int8OverflowsHere()));
    } catch (error) {
      throw new MediaError('INVALID_ARGUMENT', error instanceof Error ? error.message : 'ONNX Runtime refused the file', { cause: error });
    }
    try {
      const [inputs, outputs] = [declared(session.inputMetadata, 'input'), declared(session.outputMetadata, 'output')];
      checkOutputSizes(outputs);
      const contract = inputContract(inputs, outputs, metadata);
      const input = new PictureInput(contract, metadata.normalisation);
      const black = new Uint8Array(input.bytes);
      const runs = new Runs(session);
      const given = Object.entries(await session.run({ [contract.name]: toTensor(input.tensor([black])) })).map(([output, { type, dims }]) => ({ name: output, type, dims }));
      const model = await PictureModel.of({ name, digest, backend: 'onnx', metadata, input, outputs: given, bundledFolder });
      const batch = decideBatch({ fixed: contract.batch, most: metadata.batchMax ?? options.batchMax ?? 1, measured: options.measured });
      // The first run of a size sets up what the others use.
      if (batch.pictures > 1) await runPictures(runs, input, Array.from({ length: batch.pictures }, () => black), model.outputs);
      return new OnnxModel({ runs, model, metadata, tensors: tensorsOf(runs, contract, inputs, outputs), input, batch }, options);
    } catch (error) {
      await session.release();
      if (error instanceof MediaError) throw error;
      throw new MediaError('INVALID_ARGUMENT', error instanceof Error ? error.message : 'the warm-up run failed', { cause: error });
    }
  }

  /** Whether several pictures in one run pay, at most `most` where the sidecar does not say. Runs the model for a few seconds; never rejects. */
  async measure(most: number, deadlineMs: Milliseconds): Promise<BatchChoice> {
    const { runs, model, metadata, input } = this.#parts;
    const wanted = { fixed: input.contract.batch, most: metadata.batchMax ?? most };
    if (wanted.fixed !== null) return decideBatch({ ...wanted, measured: undefined });
    return chooseBatch({ run: (pictures) => runPictures(runs, input, pictures, model.outputs), bytes: input.bytes, most: wanted.most, deadlineMs, clock: this.#clock });
  }

  /** Runs on the caller's thread; a second call waits for the first. */
  async infer(frame: InferenceFrame): Promise<InferenceOutcome> {
    const [outcome] = await this.#infer([frame]);
    invariant(outcome, 'a picture has an outcome');
    return outcome;
  }

  /** What runs is run to its end. */
  [Symbol.dispose](): void {
    this.#parts.runs[Symbol.dispose]();
  }

  #infer(frames: readonly InferenceFrame[]): Promise<readonly InferenceOutcome[]> {
    const { runs, model, input } = this.#parts;
    return model.infer(frames, this.#clock, () => runPictures(runs, input, frames.map(({ pixels }) => pixels), model.outputs));
  }
}
