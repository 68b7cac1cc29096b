/** Types and sizes of tensors as KServe v2 names them, and values as its raw contents hold them. */
import { MediaError } from '../../../core/errors.ts';
import { isFixed } from '../../models/tensor-contract.ts';
import type { DeclaredTensor } from '../../models/tensor-contract.ts';

/** By ONNX Runtime's name. */
const DATATYPES: ReadonlyMap<string, string> = new Map([
  ['bool', 'BOOL'], ['uint8', 'UINT8'], ['uint16', 'UINT16'], ['uint32', 'UINT32'], ['uint64', 'UINT64'], ['int8', 'INT8'], ['int16', 'INT16'],
  ['int32', 'INT32'], ['int64', 'INT64'], ['float16', 'FP16'], ['float32', 'FP32'], ['float64', 'FP64'], ['string', 'BYTES'],
]);

/** Throws FAILED_PRECONDITION for a type that the protocol has no name for. */
export const datatypeOf = ({ name, type }: Pick<DeclaredTensor, 'name' | 'type'>): string => {
  const datatype = DATATYPES.get(type);
  if (datatype === undefined) throw new MediaError('FAILED_PRECONDITION', `${name} is of type ${type}, which KServe v2 has no name for`);
  return datatype;
};

/** −1: any size. */
export const shapeOf = ({ dims }: Pick<DeclaredTensor, 'dims'>): readonly number[] => dims.map((size) => (isFixed(size) ? size : -1));

/** A text of a stranger as an error shows it. */
export const shown = (name: string): string => name.slice(0, 100);

const isTexts = (data: ArrayBufferView | readonly string[]): data is readonly string[] => Array.isArray(data);

/** Little-endian, as the machines are that this runs on, without a copy; a text is its length as uint32 and its UTF-8. */
export const rawContents = (data: ArrayBufferView | readonly string[]): Uint8Array => {
  if (!isTexts(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return Buffer.concat(data.flatMap((each) => {
    const bytes = Buffer.from(each);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    return [length, bytes];
  }));
};
