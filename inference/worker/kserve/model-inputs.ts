/** The tensors a request brings, checked against what a model takes before anything is run. */
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { MediaError, messageOf } from '../../../core/errors.ts';
import type { InputTensor, TensorInput, TensorModel } from '../../models/loaded-model.ts';
import { isFixed } from '../../models/tensor-contract.ts';
import { datatypeOf, shapeOf, shown } from './datatypes.ts';
import type { InferInput, InferRequest, TypedContents } from './infer-request.ts';

/** What a model is run with. */
export interface ModelRun {
  readonly feeds: Readonly<Record<string, InputTensor>>;
  /** Each once, in the order of the answer. */
  readonly outputs: readonly string[];
}

/** Parameters that change what an answer means, or promise what is not done here; others are left alone. */
const REFUSED_PARAMETERS: ReadonlySet<string> = new Set([
  'classification', 'priority', 'sequence_end', 'sequence_id', 'sequence_start', 'shared_memory_byte_size', 'shared_memory_offset', 'shared_memory_region', 'timeout',
]);

/** Bytes of a value, and the field of `InferTensorContents` that holds such values; null: none does. */
const VALUES: Readonly<Record<InputTensor['type'], { readonly bytes: number; readonly field: number | null; readonly named: string }>> = {
  uint8: { bytes: 1, field: 4, named: 'uint_contents' },
  float32: { bytes: 4, field: 6, named: 'fp32_contents' },
  float16: { bytes: 2, field: null, named: 'raw_input_contents' },
};

const refuse = (why: string): MediaError => new MediaError('INVALID_ARGUMENT', why);

/** Throws INVALID_ARGUMENT, naming the tensor, for a request that is not exactly what the model takes. */
export const modelRun = (request: InferRequest, model: Pick<TensorModel, 'inputs' | 'outputs'>): ModelRun => {
  checkParameters(request.parameters, 'the request');
  const { inputs, raw } = request;
  if (raw.length > 0 && raw.length !== inputs.length) throw refuse(`${raw.length} raw_input_contents came for ${inputs.length} inputs`);
  const feeds = new Map<string, InputTensor>();
  for (const [at, input] of inputs.entries()) {
    const takes = model.inputs.find(({ name }) => name === input.name);
    if (!takes) throw refuse(`the model has no input ${shown(input.name)}; it takes ${listed(model.inputs)}`);
    if (feeds.has(input.name)) throw refuse(`the input ${input.name} comes twice`);
    feeds.set(input.name, inputTensor(input, takes, raw[at]));
  }
  const missing = model.inputs.find(({ name }) => !feeds.has(name));
  if (missing) throw refuse(`the input ${missing.name} is missing`);
  return { feeds: Object.fromEntries(feeds), outputs: wantedOutputs(request, model) };
};

const listed = (tensors: readonly { readonly name: string }[]): string => tensors.map(({ name }) => name).join(', ');

const checkParameters = (parameters: readonly string[], of: string): void => {
  const refused = parameters.find((name) => REFUSED_PARAMETERS.has(name));
  if (refused !== undefined) throw refuse(`${of} has the parameter ${refused}, which is not supported here`);
};

const wantedOutputs = ({ outputs }: InferRequest, model: Pick<TensorModel, 'outputs'>): readonly string[] => {
  if (outputs.length === 0) return model.outputs.map(({ name }) => name);
  const wanted = new Set<string>();
  for (const { name, parameters } of outputs) {
    if (!model.outputs.some((output) => output.name === name)) throw refuse(`the model has no output ${shown(name)}; it gives ${listed(model.outputs)}`);
    if (wanted.has(name)) throw refuse(`the output ${name} is asked for twice`);
    checkParameters(parameters, `the output ${name}`);
    wanted.add(name);
  }
  return [...wanted];
};

const inputTensor = (input: InferInput, takes: TensorInput, raw: Uint8Array | undefined): InputTensor => {
  const of = `the input ${takes.name}`;
  checkParameters(input.parameters, of);
  const datatype = datatypeOf(takes);
  if (input.datatype !== datatype) throw refuse(`${of} is of datatype ${datatype}, not ${shown(input.datatype)}`);
  const dims = checkedShape(input.shape, takes, of);
  const values = dims.reduce((product, size) => product * size, 1);
  const { bytes: size, named } = VALUES[takes.type];
  const { contents } = input;
  if (raw !== undefined) {
    if (contents.length > 0) throw refuse(`${of} has both contents and raw_input_contents`);
    if (raw.length !== values * size) throw refuse(`${of} came with ${raw.length} bytes, [${dims.join(',')}] of ${datatype} are ${values * size}`);
    return rawTensor(takes.type, dims, raw);
  }
  const { field } = VALUES[takes.type];
  if (takes.type === 'float16' || contents.some((part) => part.field !== field)) throw refuse(`${of} is of datatype ${datatype}: its contents belong into ${named}`);
  return takes.type === 'uint8'
    ? { type: takes.type, dims, data: packedBytes(contents, values, of) }
    : { type: takes.type, dims, data: packedFloats(contents, values, of) };
};

const rawTensor = (type: InputTensor['type'], dims: readonly number[], raw: Uint8Array): InputTensor => {
  switch (type) {
    case 'uint8': return { type, dims, data: raw };
    case 'float32': return { type, dims, data: floats([raw]) };
    case 'float16': {
      const { buffer, byteOffset, length } = raw.byteOffset % 2 === 0 ? raw : joined([raw]);
      return { type, dims, data: new Uint16Array(buffer, byteOffset, length / 2) };
    }
  }
};

const checkedShape = (shape: readonly bigint[], takes: TensorInput, of: string): readonly number[] => {
  const [declared, { most }] = [shapeOf(takes), takes];
  const fits = shape.length === declared.length && declared.every((size, at) => {
    const given = shape[at] ?? 0n;
    return isFixed(size) ? given === BigInt(size) : given >= 1n && given <= (most[at] ?? 0);
  });
  if (!fits) throw refuse(`${of} is of shape [${shape.join(',')}], the model takes [${declared.join(',')}]${declared.includes(-1) ? `, at most [${most.join(',')}]` : ''}`);
  return shape.map(Number);
};

/** In a buffer of their own where they are not aligned, or in several pieces. */
const floats = (parts: readonly Uint8Array[]): Float32Array => {
  const [first] = parts;
  const whole = parts.length === 1 && first && first.byteOffset % 4 === 0 ? first : joined(parts);
  return new Float32Array(whole.buffer, whole.byteOffset, whole.length / 4);
};

const joined = (parts: readonly Uint8Array[]): Uint8Array => {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
};

const wrongCount = (of: string, count: string, values: number): MediaError => refuse(`${of} has ${count} values in its contents, its shape has ${values}`);

/** Packed floats are what raw contents are. */
const packedFloats = (contents: readonly TypedContents[], values: number, of: string): Float32Array => {
  const bytes = contents.reduce((sum, { packed }) => sum + packed.length, 0);
  if (bytes !== 4 * values) throw wrongCount(of, String(bytes / 4), values);
  return floats(contents.map(({ packed }) => packed));
};

/** Varints of 0 to 255. */
const packedBytes = (contents: readonly TypedContents[], values: number, of: string): Uint8Array => {
  const data = new Uint8Array(values);
  let at = 0;
  for (const { packed } of contents) {
    const reader = new BinaryReader(packed);
    while (reader.pos < reader.len) {
      if (at === values) throw wrongCount(of, `more than ${values}`, values);
      const value = varint(reader, of);
      if (value > 255) throw refuse(`${of} has the value ${value}, which no UINT8 is`);
      data[at++] = value;
    }
  }
  if (at !== values) throw wrongCount(of, String(at), values);
  return data;
};

/** The reader says in its own errors that bytes end too early, or that a varint does not end. */
const varint = (reader: BinaryReader, of: string): number => {
  try {
    return reader.uint32();
  } catch (error) {
    throw refuse(`${of} has contents that cannot be read: ${messageOf(error)}`);
  }
};
