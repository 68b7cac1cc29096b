import { availableParallelism } from 'node:os';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { InferenceFrame, InferenceOutcome, ModelInfo } from '../port.ts';
import { refuseExternalData } from './external-data.ts';
import { hasExactInt8 } from './int8-arithmetic.ts';
import type { InputTensor, LoadedModel, LoadOptions, TensorModel } from './loaded-model.ts';
import { readModelMetadata } from './model-metadata.ts';
import { PictureInput } from './picture-input.ts';
import { PictureModel } from './picture-model.ts';
import { checkOutputSizes, inputContract } from './tensor-contract.ts';
import type { DeclaredTensor, InputContract } from './tensor-contract.ts';
import { outputValues } from './tensor-values.ts';

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
      // CPUs with AVX2 but no VNNI add int8 products in 16 bits and overflow: a person of score .62 was lost. Exact there, 7 % slower.
      x64quantprecision: hasExactInt8() ? '0' : '1',
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

const tensorOf = (input: PictureInput, pixels: Uint8Array): Tensor => toTensor(input.tensor(pixels));

/** What the session takes and gives, without the picture. */
const tensorsOf = (session: InferenceSession, { layout, width, height }: InputContract, inputs: readonly DeclaredTensor[], outputs: readonly DeclaredTensor[]): TensorModel => ({
  inputs: inputs.map(({ name, dims }) => (layout === 'u8-nhwc' ? { name, type: 'uint8', dims, most: [1, height, width, 3] } : { name, type: 'float32', dims, most: [1, 3, height, width] })),
  outputs,
  run: (feeds, wanted) => session.run(Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, toTensor(tensor)])), wanted),
});

/** An ONNX Runtime session with its pre- and post-processing; its buffers are reused from picture to picture. */
export class OnnxModel implements LoadedModel {
  readonly info: ModelInfo;
  readonly tensors: TensorModel;
  readonly #session: InferenceSession;
  readonly #model: PictureModel;
  readonly #input: PictureInput;
  readonly #clock: Clock;

  private constructor(session: InferenceSession, model: PictureModel, tensors: TensorModel, input: PictureInput, clock: Clock) {
    this.info = model.info;
    this.tensors = tensors;
    this.#session = session;
    this.#model = model;
    this.#input = input;
    this.#clock = clock;
  }

  /** Loads, checks the tensors and runs once. Throws INVALID_ARGUMENT or UNPROCESSABLE with what is wrong with the model. */
  static async load(options: LoadOptions): Promise<OnnxModel> {
    const { name, digest, bundledFolder } = options;
    const metadata = await readModelMetadata(options.path, options.bytes);
    refuseExternalData(options.bytes);
    let session: InferenceSession;
    try {
      session = await InferenceSession.create(options.bytes, sessionOptions(options.threads));
    } catch (error) {
      throw new MediaError('INVALID_ARGUMENT', error instanceof Error ? error.message : 'ONNX Runtime refused the file', { cause: error });
    }
    try {
      const [inputs, outputs] = [declared(session.inputMetadata, 'input'), declared(session.outputMetadata, 'output')];
      checkOutputSizes(outputs);
      const contract = inputContract(inputs, outputs, metadata);
      const input = new PictureInput(contract, metadata.normalisation);
      const given = Object.entries(await session.run({ [contract.name]: tensorOf(input, new Uint8Array(input.bytes)) })).map(([output, { type, dims }]) => ({ name: output, type, dims }));
      const model = await PictureModel.of({ name, digest, backend: 'onnx', metadata, input, outputs: given, bundledFolder });
      return new OnnxModel(session, model, tensorsOf(session, contract, inputs, outputs), input, options.clock);
    } catch (error) {
      await session.release();
      if (error instanceof MediaError) throw error;
      throw new MediaError('INVALID_ARGUMENT', error instanceof Error ? error.message : 'the warm-up run failed', { cause: error });
    }
  }

  /** Runs on the caller's thread; a second call waits for the first. */
  infer(frame: InferenceFrame): Promise<InferenceOutcome> {
    return this.#model.infer(frame, this.#clock, async () => {
      const given = await this.#session.run({ [this.#input.contract.name]: tensorOf(this.#input, frame.pixels) }, this.#model.outputs);
      return this.#model.outputs.map((output) => outputValues(given[output]));
    });
  }

  [Symbol.dispose](): void {
    void this.#session.release();
  }
}
