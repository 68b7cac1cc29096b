import { availableParallelism } from 'node:os';
import { InferenceSession, Tensor, listSupportedBackends } from 'onnxruntime-node';
import type { Clock } from '../../core/clock.ts';
import { MediaError, invariant } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { OutputValues } from '../layouts/layout.ts';
import type { BatchChoice, InferenceFrame, InferenceOutcome, ModelInfo, ProviderChoice } from '../port.ts';
import { chooseBatch, decideBatch, oneByOne } from './batch-choice.ts';
import { refuseExternalData } from './external-data.ts';
import { int8OverflowsHere } from './int8-overflow.ts';
import type { InputTensor, LoadedModel, LoadOptions, PictureBatch, TensorModel } from './loaded-model.ts';
import { readModelMetadata } from './model-metadata.ts';
import type { ModelMetadata } from './model-metadata.ts';
import { PictureInput } from './picture-input.ts';
import { PictureModel } from './picture-model.ts';
import { FallingBackRuns, SessionRuns } from './session-runs.ts';
import type { PictureRuns } from './session-runs.ts';
import { splitOutputs } from './split-outputs.ts';
import { checkOutputSizes, inputContract } from './tensor-contract.ts';
import type { DeclaredTensor, InputContract } from './tensor-contract.ts';
import { outputValues } from './tensor-values.ts';

/** What a provider is given to be asked for; what it does not take the CPU does. TensorRT leaves most to CUDA. */
const providersOf = (name: string): readonly string[] => (name === 'cpu' ? ['cpu'] : name === 'tensorrt' ? ['tensorrt', 'cuda', 'cpu'] : [name, 'cpu']);

const sessionOptions = (provider: string, threads: number, exactInt8: boolean): InferenceSession.SessionOptions => ({
  executionProviders: providersOf(provider),
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

/** Throws INVALID_ARGUMENT with what ONNX Runtime says. */
const createSession = async ({ bytes, threads }: LoadOptions, provider: string): Promise<InferenceSession> => {
  // One that it was built without it passes over in silence.
  if (!listSupportedBackends().some(({ name }) => name === provider)) throw new MediaError('INVALID_ARGUMENT', `ONNX Runtime here does not offer ${provider}`);
  try {
    return await InferenceSession.create(bytes, sessionOptions(provider, threads, await int8OverflowsHere()));
  } catch (error) {
    throw new MediaError('INVALID_ARGUMENT', error instanceof Error ? error.message : 'ONNX Runtime refused the file', { cause: error });
  }
};

const ON_CPU: ProviderChoice = { name: 'cpu', why: '' };

const toTensor = ({ type, data, dims }: InputTensor): Tensor => {
  switch (type) {
    case 'uint8': return new Tensor(type, data, dims);
    // A `Tensor` would make a Float16Array of it, which onnxruntime-node 1.30 takes for empty ("not enough space: expected 6144, got 0").
    case 'float16': return { type, data, dims, location: 'cpu' } as unknown as Tensor;
    case 'float32': return new Tensor(type, data, dims);
  }
};

/** What the session takes and gives, without the picture. */
const tensorsOf = (runs: PictureRuns, { layout, width, height, batch }: InputContract, inputs: readonly DeclaredTensor[], outputs: readonly DeclaredTensor[]): TensorModel => ({
  inputs: inputs.map(({ name, dims }) => (layout === 'u8-nhwc' ? { name, type: 'uint8', dims, most: [batch ?? 1, height, width, 3] } : { name, type: layout === 'f16-nchw' ? 'float16' : 'float32', dims, most: [batch ?? 1, 3, height, width] })),
  outputs,
  run: (feeds, wanted) => runs.runOnce(Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, toTensor(tensor)])), wanted),
});

/** What each of the pictures gets: `outputs` in their order. */
const runPictures = async (runs: PictureRuns, input: PictureInput, pictures: readonly Uint8Array[], outputs: readonly string[]): Promise<readonly (readonly OutputValues[])[]> => {
  const given = await runs.run({ [input.contract.name]: toTensor(input.tensor(pictures)) }, outputs);
  return splitOutputs(outputs.map((output) => outputValues(given[output])), input.pictures(pictures.length));
};

interface Parts {
  readonly runs: PictureRuns;
  readonly model: PictureModel;
  readonly metadata: ModelMetadata;
  readonly tensors: TensorModel;
  readonly input: PictureInput;
  readonly batch: BatchChoice;
  readonly provider: ProviderChoice;
}

/** An ONNX Runtime session with its pre- and post-processing; its buffers are reused from run to run. */
export class OnnxModel implements LoadedModel {
  readonly fellBack?: Promise<ProviderChoice>;
  readonly tensors: TensorModel;
  readonly #parts: Parts;
  readonly #clock: Clock;
  #info: ModelInfo;
  #batch: PictureBatch | undefined;

  private constructor(parts: Parts, { batchDelayMs = 0, clock }: LoadOptions) {
    const { pictures } = parts.batch;
    this.#info = { ...parts.model.info, batch: parts.batch, provider: parts.provider };
    this.tensors = parts.tensors;
    this.#parts = parts;
    this.#clock = clock;
    if (parts.runs instanceof FallingBackRuns) {
      this.fellBack = parts.runs.fellBack.then((why) => {
        const provider: ProviderChoice = { name: 'cpu', why: `${parts.provider.name} failed: ${why}` };
        // How many pay was measured on the device: on the CPU so many may hold the worker for seconds.
        if (parts.input.contract.batch === null) this.#batch = undefined;
        this.#info = { ...this.#info, provider, ...(this.#batch === undefined && { batch: oneByOne('measured on what failed') }) };
        return provider;
      });
    }
    if (pictures > 1) this.#batch = { most: pictures, delayMs: parts.metadata.batchDelayMs ?? batchDelayMs, infer: (frames) => this.#infer(frames) };
  }

  /** Loads, checks the tensors and runs once. Throws INVALID_ARGUMENT or UNPROCESSABLE with what is wrong with the model. */
  static async load(options: LoadOptions): Promise<OnnxModel> {
    const { name, digest, bundledFolder, provider = ON_CPU } = options;
    const metadata = await readModelMetadata(options.path, options.bytes);
    refuseExternalData(options.bytes);
    const session = await createSession(options, provider.name);
    try {
      const [inputs, outputs] = [declared(session.inputMetadata, 'input'), declared(session.outputMetadata, 'output')];
      checkOutputSizes(outputs);
      const contract = inputContract(inputs, outputs, metadata);
      const input = new PictureInput(contract, metadata.normalisation);
      const black = new Uint8Array(input.bytes);
      const given = Object.entries(await session.run({ [contract.name]: toTensor(input.tensor([black])) })).map(([output, { type, dims }]) => ({ name: output, type, dims }));
      const model = await PictureModel.of({ name, digest, backend: 'onnx', metadata, input, outputs: given, bundledFolder });
      const batch = decideBatch({ fixed: contract.batch, most: metadata.batchMax ?? options.batchMax ?? 1, measured: options.measured });
      // The first run of a size sets up what the others use.
      const own = new SessionRuns(session);
      if (batch.pictures > 1) await runPictures(own, input, Array.from({ length: batch.pictures }, () => black), model.outputs);
      // Of a model on a provider the file's bytes are kept for that.
      const runs = provider.name === 'cpu' ? own : new FallingBackRuns(own, async () => new SessionRuns(await createSession(options, 'cpu')));
      return new OnnxModel({ runs, model, metadata, tensors: tensorsOf(runs, contract, inputs, outputs), input, batch, provider }, options);
    } catch (error) {
      await session.release();
      if (error instanceof MediaError) throw error;
      throw new MediaError('INVALID_ARGUMENT', error instanceof Error ? error.message : 'the warm-up run failed', { cause: error });
    }
  }

  get info(): ModelInfo {
    return this.#info;
  }

  get batch(): PictureBatch | undefined {
    return this.#batch;
  }

  /** Of the pixels of one picture. */
  get pictureBytes(): number {
    return this.#parts.input.bytes;
  }

  /** What each of these pictures gets, not decoded. */
  values(pictures: readonly Uint8Array[]): Promise<readonly (readonly OutputValues[])[]> {
    const { runs, model, input } = this.#parts;
    return runPictures(runs, input, pictures, model.outputs);
  }

  /** Whether several pictures in one run pay, at most `most` where the sidecar does not say. Runs the model for a few seconds; never rejects. */
  async measure(most: number, deadlineMs: Milliseconds): Promise<BatchChoice> {
    const { metadata, input } = this.#parts;
    const wanted = { fixed: input.contract.batch, most: metadata.batchMax ?? most };
    if (wanted.fixed !== null) return decideBatch({ ...wanted, measured: undefined });
    return chooseBatch({ run: (pictures) => this.values(pictures), bytes: input.bytes, most: wanted.most, deadlineMs, clock: this.#clock });
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
    return this.#parts.model.infer(frames, this.#clock, () => this.values(frames.map(({ pixels }) => pixels)));
  }
}
