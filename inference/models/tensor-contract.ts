import { MediaError } from '../../core/errors.ts';
import type { ModelMetadata } from './model-metadata.ts';

/** An input or output as a model declares it. */
export interface DeclaredTensor {
  readonly name: string;
  /** `float32`, `uint8`, …: ONNX Runtime's name of the element type. */
  readonly type: string;
  /** A symbolic size is a name, −1 or 0. */
  readonly dims: readonly (number | string)[];
}

/** What a model takes. */
export interface InputContract {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly layout: 'u8-nhwc' | 'f32-nchw' | 'f16-nchw';
  /** Pictures of one run; null: as many as one likes. */
  readonly batch: number | null;
}

const MAX_SIDE = 4096;
/** A picture must fit a gRPC message (32 MiB) with room to spare. */
const MAX_PIXEL_BYTES = 24 << 20;
const MAX_OUTPUT_VALUES = 64 << 20;
/** Of a fixed batch: pictures, and pixel bytes of them together. */
const MAX_FIXED_BATCH = 32;
const MAX_BATCH_BYTES = 64 << 20;

/** The side of an input whose size nobody names: what detectors and what classifiers are usually trained at. */
const DEFAULT_SIDE = 640;
const DEFAULT_CLASSIFIER_SIDE = 224;
const DEFAULT_STRIDE = 32;

const refuse = (why: string): MediaError => new MediaError('UNPROCESSABLE', why);

/** Not symbolic. */
export const isFixed = (size: number | string | undefined): size is number => typeof size === 'number' && size > 0;

/**
 * The one picture input of a model. A symbolic batch is any; a symbolic size is that of the sidecar or of the metadata's `imgsz`, else
 * 640 (224 for a classifier), rounded up to the model's stride. Throws UNPROCESSABLE for anything else.
 */
export const inputContract = (inputs: readonly DeclaredTensor[], outputs: readonly DeclaredTensor[], metadata: ModelMetadata): InputContract => {
  const input = inputs[0];
  if (inputs.length !== 1 || !input) throw refuse(`a model takes one picture, this one takes ${inputs.length} inputs`);
  const shape = input.dims;
  const described = `${input.name.slice(0, 100)} ${input.type}[${shape.join(',')}]`;
  const [first, a, b, c] = shape;
  if (shape.length !== 4) throw refuse(`the input ${described} is no batch of pictures`);
  const batch = isFixed(first) ? first : null;
  if (batch !== null && batch > MAX_FIXED_BATCH) throw refuse(`the input ${described} is ${batch} pictures, at most ${MAX_FIXED_BATCH} are taken`);
  const output = outputs[0];
  const usual = outputs.length === 1 && output?.dims.length === 2 ? DEFAULT_CLASSIFIER_SIDE : DEFAULT_SIDE;
  const stride = metadata.stride ?? DEFAULT_STRIDE;
  const sized = (value: number | string | undefined, of: 0 | 1): number => (isFixed(value) ? value : Math.ceil((metadata.imageSize?.[of] ?? usual) / stride) * stride);
  let contract: InputContract;
  if (input.type === 'uint8' && c === 3) contract = { name: input.name, height: sized(a, 0), width: sized(b, 1), layout: 'u8-nhwc', batch };
  else if ((input.type === 'float32' || input.type === 'float16') && a === 3) contract = { name: input.name, height: sized(b, 0), width: sized(c, 1), layout: input.type === 'float32' ? 'f32-nchw' : 'f16-nchw', batch };
  else throw refuse(`the input ${described} is neither uint8[n,height,width,3] nor float32 or float16 [n,3,height,width]`);
  const { width, height } = contract;
  if (width > MAX_SIDE || height > MAX_SIDE || width * height * 3 > MAX_PIXEL_BYTES) throw refuse(`the input ${described} would be ${width}x${height} pixels, more than is taken`);
  if (3 * width * height * (batch ?? 1) > MAX_BATCH_BYTES) throw refuse(`the input ${described} has ${3 * width * height * (batch ?? 1)} values, at most ${MAX_BATCH_BYTES} are taken`);
  return contract;
};

/** Refuses outputs that are larger than any layout needs. `outputs`: as declared before a run, or as they came. Throws UNPROCESSABLE. */
export const checkOutputSizes = (outputs: readonly Pick<DeclaredTensor, 'name' | 'dims'>[]): void => {
  for (const { name, dims } of outputs) {
    const values = dims.reduce<number>((product, size) => product * (isFixed(size) ? size : 1), 1);
    if (values > MAX_OUTPUT_VALUES) throw refuse(`the output ${name.slice(0, 100)} [${dims.join(',')}] has ${values} values, at most ${MAX_OUTPUT_VALUES} are taken`);
  }
};
