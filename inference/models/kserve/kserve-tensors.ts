/** Tensors as KServe v2 writes them: sizes as int64, values as raw little-endian bytes. What a server says is checked before it is used. */
import { create } from '@bufbuild/protobuf';
import { MediaError } from '../../../core/errors.ts';
import { ModelInferRequestSchema } from '../../../proto/gen/inference/kserve_pb.ts';
import type { ModelInferRequest, ModelInferResponse, ModelMetadataResponse } from '../../../proto/gen/inference/kserve_pb.ts';
import type { OutputShape, OutputValues } from '../../layouts/layout.ts';
import type { PictureTensor } from '../picture-input.ts';
import { checkOutputSizes } from '../tensor-contract.ts';
import type { DeclaredTensor } from '../tensor-contract.ts';

const MAX_TENSORS = 64;
const MAX_RANK = 8;
const MAX_NAME = 256;
const MAX_VERSIONS = 1000;
const MAX_SIZE = 2 ** 31;

interface DataType {
  /** ONNX Runtime's name, which layouts know. */
  readonly type: string;
  /** Of one value. */
  readonly bytes: number;
  /** Null: no layout reads such values. */
  readonly read: ((raw: Uint8Array) => Float32Array) | null;
}

/** Where values begin in a message is chance; a typed array wants its elements at multiples of their size. (A Buffer's `slice` would not copy.) */
const aligned = (raw: Uint8Array, size: number): Uint8Array => (raw.byteOffset % size === 0 ? raw : new Uint8Array(raw));

/** Little-endian, as the machines are that this runs on. */
const DATA_TYPES: ReadonlyMap<string, DataType> = new Map<string, DataType>([
  ['UINT8', { type: 'uint8', bytes: 1, read: null }],
  ['FP32', {
    type: 'float32', bytes: 4,
    read: (raw) => {
      const { buffer, byteOffset, length } = aligned(raw, 4);
      return new Float32Array(buffer, byteOffset, length / 4);
    },
  }],
  ['FP16', {
    type: 'float16', bytes: 2,
    read: (raw) => {
      const { buffer, byteOffset, length } = aligned(raw, 2);
      return new Float32Array(new Float16Array(buffer, byteOffset, length / 2));
    },
  }],
  ['INT32', {
    type: 'int32', bytes: 4,
    read: (raw) => {
      const { buffer, byteOffset, length } = aligned(raw, 4);
      return new Float32Array(new Int32Array(buffer, byteOffset, length / 4));
    },
  }],
  ['INT64', {
    type: 'int64', bytes: 8,
    read: (raw) => {
      const { buffer, byteOffset, length } = aligned(raw, 8);
      return Float32Array.from(new BigInt64Array(buffer, byteOffset, length / 8), Number);
    },
  }],
]);
const PICTURE_TYPES: Readonly<Record<PictureTensor['type'], string>> = { uint8: 'UINT8', float32: 'FP32', float16: 'FP16' };

const refuse = (why: string): MediaError => new MediaError('UNPROCESSABLE', why);

const typeOf = (datatype: string): string => DATA_TYPES.get(datatype)?.type ?? datatype.slice(0, MAX_NAME);

/** Sizes as numbers; −1, for any, only where `symbolic`. */
const sizes = (shape: readonly bigint[], of: string, symbolic: boolean): readonly number[] => {
  if (shape.length > MAX_RANK) throw refuse(`${of} has ${shape.length} dimensions, at most ${MAX_RANK} are taken`);
  return shape.map((size) => {
    if (size < (symbolic ? -1n : 0n) || size > MAX_SIZE) throw refuse(`${of} has a dimension of ${size}`);
    return Number(size);
  });
};

const named = (what: string, name: string): string => {
  if (name === '' || name.length > MAX_NAME) throw refuse(`the name of an ${what} has ${name.length} characters, 1 to ${MAX_NAME} are taken`);
  return name;
};

/** What a server says of a model. */
export interface ServedModel {
  readonly inputs: readonly DeclaredTensor[];
  readonly outputs: readonly DeclaredTensor[];
  /** The same text for the same model: platform, versions and tensors. */
  readonly identity: string;
}

/** Throws UNPROCESSABLE for what cannot be a model. */
export const servedModel = ({ platform, versions, inputs, outputs }: ModelMetadataResponse): ServedModel => {
  if (inputs.length > MAX_TENSORS || outputs.length > MAX_TENSORS || versions.length > MAX_VERSIONS) {
    throw refuse(`the model has ${inputs.length} inputs, ${outputs.length} outputs and ${versions.length} versions; at most ${MAX_TENSORS}, ${MAX_TENSORS} and ${MAX_VERSIONS} are taken`);
  }
  const declared = (what: 'input' | 'output', tensors: ModelMetadataResponse['inputs']): readonly DeclaredTensor[] =>
    tensors.map(({ name, datatype, shape }) => ({ name: named(what, name), type: typeOf(datatype), dims: sizes(shape, `the ${what} ${name.slice(0, MAX_NAME)}`, true) }));
  const [taken, given] = [declared('input', inputs), declared('output', outputs)];
  return { inputs: taken, outputs: given, identity: JSON.stringify({ platform, versions: versions.toSorted(), inputs: taken, outputs: given }) };
};

/** A call of a model. `outputs`: those wanted; none: all. */
export const inferRequest = (model: string, version: string, input: string, { type, dims, data }: PictureTensor, outputs: readonly string[]): ModelInferRequest =>
  create(ModelInferRequestSchema, {
    modelName: model,
    modelVersion: version,
    inputs: [{ name: input, datatype: PICTURE_TYPES[type], shape: dims.map(BigInt) }],
    outputs: outputs.map((name) => ({ name })),
    rawInputContents: [new Uint8Array(data.buffer, data.byteOffset, data.byteLength)],
  });

/** The outputs a call gave, their values not looked at. Throws UNPROCESSABLE for shapes that cannot be. */
export const outputShapes = ({ outputs, rawOutputContents }: ModelInferResponse): readonly OutputShape[] => {
  if (outputs.length > MAX_TENSORS) throw refuse(`the answer has ${outputs.length} outputs, at most ${MAX_TENSORS} are taken`);
  if (rawOutputContents.length !== outputs.length) throw refuse(`the answer has ${rawOutputContents.length} raw contents for ${outputs.length} outputs`);
  return outputs.map(({ name, datatype, shape }) => ({ name: named('output', name), type: typeOf(datatype), dims: sizes(shape, `the output ${name.slice(0, MAX_NAME)}`, false) }));
};

/** The values of the outputs `wanted`, in that order. Throws UNPROCESSABLE when one is not there, or is not what its shape says. */
export const outputValues = (response: ModelInferResponse, wanted: readonly string[]): readonly OutputValues[] => {
  const shapes = outputShapes(response);
  return wanted.map((name) => {
    const at = shapes.findIndex((shape) => shape.name === name);
    const [shape, raw] = [shapes[at], response.rawOutputContents[at]];
    if (!shape || !raw) throw refuse(`the answer lacks the output ${name}`);
    const known = DATA_TYPES.get(response.outputs[at]?.datatype ?? '');
    if (!known?.read) throw refuse(`the output ${name} is of type ${shape.type}, which holds no numbers that are understood`);
    checkOutputSizes([shape]);
    const values = shape.dims.reduce((product, size) => product * size, 1);
    if (values * known.bytes !== raw.length) throw refuse(`the output ${name} ${shape.type}[${shape.dims.join(',')}] came with ${raw.length} bytes`);
    return { dims: shape.dims, values: known.read(raw) };
  });
};
