import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MediaError } from '../../../core/errors.ts';
import type { TensorInput, TensorModel } from '../../models/loaded-model.ts';
import type { InferInput, InferRequest } from './infer-request.ts';
import { modelRun } from './model-inputs.ts';

const BYTES: TensorInput = { name: 'images', type: 'uint8', dims: [1, 2, 2, 3], most: [1, 2, 2, 3] };
const FLOATS: TensorInput = { name: 'planes', type: 'float32', dims: ['batch', 3, -1, 0], most: [1, 3, 4, 5] };
const HALVES: TensorInput = { name: 'halves', type: 'float16', dims: ['batch', 3, -1, 0], most: [1, 3, 4, 5] };
const OUTPUTS = ['boxes', 'scores'].map((name) => ({ name, type: 'float32', dims: [1] }));
const takes = (...inputs: readonly TensorInput[]): Pick<TensorModel, 'inputs' | 'outputs'> => ({ inputs, outputs: OUTPUTS });

const input = (over: Partial<InferInput> = {}): InferInput => ({ name: 'images', datatype: 'UINT8', shape: [1n, 2n, 2n, 3n], parameters: [], contents: [], ...over });
const planes = (over: Partial<InferInput> = {}): InferInput => input({ name: 'planes', datatype: 'FP32', shape: [1n, 3n, 1n, 2n], ...over });
const request = (over: Partial<InferRequest> = {}): InferRequest => ({ model: 'm', version: '', id: '', parameters: [], inputs: [input()], outputs: [], raw: [new Uint8Array(12)], ...over });
const FLOAT_BYTES = new Uint8Array(Float32Array.of(1, -2, 3.5, 4, 5, 6).buffer);

test('[INF-4] raw contents become the tensor, wherever they begin in the message; all outputs come unless some are asked for', () => {
  const raw = Uint8Array.from({ length: 12 }, (_, i) => i);
  expect(modelRun(request({ raw: [raw] }), takes(BYTES))).toEqual({ feeds: { images: { type: 'uint8', dims: [1, 2, 2, 3], data: raw } }, outputs: ['boxes', 'scores'] });
  for (let offset = 0; offset < 4; offset++) {
    const message = new Uint8Array(offset + FLOAT_BYTES.length);
    message.set(FLOAT_BYTES, offset);
    const run = modelRun(request({ inputs: [planes()], raw: [message.subarray(offset)], outputs: [{ name: 'scores', parameters: [] }] }), takes(FLOATS));
    expect(run).toEqual({ feeds: { planes: { type: 'float32', dims: [1, 3, 1, 2], data: Float32Array.of(1, -2, 3.5, 4, 5, 6) } }, outputs: ['scores'] });
  }
});

test('[INF-4] contents in the field of their type are the same tensor, in one piece or several', () => {
  const floats = (...cuts: number[]): unknown => modelRun(request({
    inputs: [planes({ contents: [0, ...cuts].map((from, at) => ({ field: 6, packed: FLOAT_BYTES.subarray(from, cuts[at] ?? 24) })) })], raw: [],
  }), takes(FLOATS)).feeds['planes']?.data;
  for (const cuts of [[], [8], [3, 17]]) expect(floats(...cuts)).toEqual(Float32Array.of(1, -2, 3.5, 4, 5, 6));
  const packed = Uint8Array.of(0, 1, 127, 128, 1, 255, 1, 6, 7, 8, 9, 10, 11, 12);
  expect(modelRun(request({ inputs: [input({ contents: [{ field: 4, packed }] })], raw: [] }), takes(BYTES)).feeds['images']?.data).toEqual(Uint8Array.of(0, 1, 127, 128, 255, 6, 7, 8, 9, 10, 11, 12));
});

test('[INF-4] half floats come as raw contents, wherever they begin in the message; there is no field for them', () => {
  const half = (over: Partial<InferInput> = {}): InferInput => input({ name: 'halves', datatype: 'FP16', shape: [1n, 3n, 1n, 1n], ...over });
  const bits = new Uint16Array(Float16Array.of(1, -2, 3.5).buffer);
  for (let offset = 0; offset < 2; offset++) {
    const message = new Uint8Array(offset + 6);
    message.set(new Uint8Array(bits.buffer), offset);
    expect(modelRun(request({ inputs: [half()], raw: [message.subarray(offset)] }), takes(HALVES)).feeds).toEqual({ halves: { type: 'float16', dims: [1, 3, 1, 1], data: bits } });
  }
  const refused = (over: Partial<InferRequest>, reason: string): void => { expect(() => modelRun(request(over), takes(HALVES))).toThrow(reason); };
  refused({ inputs: [half()], raw: [new Uint8Array(7)] }, 'the input halves came with 7 bytes, [1,3,1,1] of FP16 are 6');
  refused({ inputs: [half()], raw: [] }, 'the input halves is of datatype FP16: its contents belong into raw_input_contents');
  refused({ inputs: [half({ contents: [{ field: 6, packed: new Uint8Array(12) }] })], raw: [] }, 'its contents belong into raw_input_contents');
});

test.each<[string, Partial<InferRequest>, string]>([
  ['no input', { inputs: [], raw: [] }, 'the input images is missing'],
  ['another input', { inputs: [input({ name: 'x'.repeat(99) + '😀' })] }, 'the model has no input xxx'],
  ['an input twice', { inputs: [input(), input()], raw: [new Uint8Array(12), new Uint8Array(12)] }, 'the input images comes twice'],
  ['another datatype', { inputs: [input({ datatype: 'FP32' })] }, 'the input images is of datatype UINT8, not FP32'],
  ['another shape', { inputs: [input({ shape: [1n, 2n, 3n, 2n] })] }, 'the input images is of shape [1,2,3,2], the model takes [1,2,2,3]'],
  ['a shape of the right size', { inputs: [input({ shape: [12n] })] }, 'the input images is of shape [12]'],
  ['a negative size', { inputs: [input({ shape: [1n, -2n, -2n, 3n] })] }, 'the input images is of shape [1,-2,-2,3]'],
  ['no shape', { inputs: [input({ shape: [] })] }, 'the input images is of shape []'],
  ['too few bytes', { raw: [new Uint8Array(11)] }, 'the input images came with 11 bytes, [1,2,2,3] of UINT8 are 12'],
  ['too many bytes', { raw: [new Uint8Array(13)] }, 'the input images came with 13 bytes'],
  ['raw contents for another input', { raw: [new Uint8Array(12), new Uint8Array(12)] }, '2 raw_input_contents came for 1 inputs'],
  ['no contents', { raw: [] }, 'the input images has 0 values in its contents, its shape has 12'],
  ['both contents', { inputs: [input({ contents: [{ field: 4, packed: new Uint8Array(12) }] })] }, 'the input images has both contents and raw_input_contents'],
  ['contents of another type', { inputs: [input({ contents: [{ field: 6, packed: new Uint8Array(48) }] })], raw: [] }, 'the input images is of datatype UINT8: its contents belong into uint_contents'],
  ['too many values', { inputs: [input({ contents: [{ field: 4, packed: new Uint8Array(13) }] })], raw: [] }, 'more than 12 values'],
  ['no byte', { inputs: [input({ contents: [{ field: 4, packed: Uint8Array.of(128, 2) }] })], raw: [] }, 'the value 256, which no UINT8 is'],
  ['bytes that end within a value', { inputs: [input({ contents: [{ field: 4, packed: Uint8Array.of(128) }] })], raw: [] }, 'the input images has contents that cannot be read: premature EOF'],
  ['a value that does not end', { inputs: [input({ contents: [{ field: 4, packed: new Uint8Array(12).fill(255) }] })], raw: [] }, 'the input images has contents that cannot be read: invalid varint'],
  ['another output', { outputs: [{ name: 'masks', parameters: [] }] }, 'the model has no output masks; it gives boxes, scores'],
  ['an output twice', { outputs: [{ name: 'boxes', parameters: [] }, { name: 'boxes', parameters: [] }] }, 'the output boxes is asked for twice'],
  ['classification', { outputs: [{ name: 'boxes', parameters: ['classification'] }] }, 'the output boxes has the parameter classification'],
  ['shared memory', { inputs: [input({ parameters: ['shared_memory_region'] })], raw: [] }, 'the input images has the parameter shared_memory_region'],
  ['a sequence', { parameters: ['mine', 'sequence_id'] }, 'the request has the parameter sequence_id'],
])('[INF-4] refused, naming the tensor: %s', (_what, over, reason) => {
  const refused = (): unknown => modelRun(request(over), takes(BYTES));
  expect(refused).toThrow(reason);
  expect(refused).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
});

test('[INF-4] a symbolic size takes 1 up to what a picture has here', () => {
  const run = (shape: bigint[]): unknown => modelRun(request({ inputs: [planes({ shape })], raw: [new Uint8Array(Number(shape.reduce((a, b) => a * b, 4n)))] }), takes(FLOATS));
  for (const shape of [[1n, 3n, 1n, 1n], [1n, 3n, 4n, 5n]]) expect(() => run(shape)).not.toThrow();
  for (const shape of [[2n, 3n, 1n, 1n], [1n, 3n, 5n, 1n], [1n, 3n, 1n, 6n], [1n, 3n, 0n, 5n], [1n, 4n, 1n, 1n]]) expect(() => run(shape)).toThrow('the model takes [-1,3,-1,-1], at most [1,3,4,5]');
});

test('[INF-4] whatever a request says, a model is given tensors of as many values as their shape, or it is refused', () => {
  const size = fc.oneof(fc.bigInt({ min: -1n, max: 6n }), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }));
  const shape = fc.oneof(fc.constantFrom<bigint[]>([1n, 2n, 2n, 3n], [1n, 3n, 1n, 2n]), fc.array(size, { maxLength: 8 }));
  const packed = fc.oneof(fc.constantFrom(new Uint8Array(12), FLOAT_BYTES), fc.uint8Array({ maxLength: 30 }));
  const parameters = fc.array(fc.constantFrom('mine', 'timeout'), { maxLength: 1 });
  const inputs: fc.Arbitrary<InferInput[]> = fc.array(fc.record({
    name: fc.constantFrom('images', 'planes', 'halves', '__proto__', ''), datatype: fc.constantFrom('UINT8', 'FP32', 'FP16', 'BYTES', ''), shape, parameters,
    contents: fc.array(fc.record({ field: fc.constantFrom(4, 6, 8), packed }), { maxLength: 2 }),
  }), { maxLength: 3 });
  const outputs = fc.array(fc.record({ name: fc.constantFrom('boxes', 'scores', 'toString'), parameters }), { maxLength: 2 });
  let taken = 0;
  fc.assert(fc.property(inputs, outputs, fc.array(packed, { maxLength: 3 }), fc.constantFrom(BYTES, FLOATS, HALVES), (given, wanted, raw, of) => {
    try {
      const { feeds, outputs: named } = modelRun(request({ inputs: given, outputs: wanted, raw }), takes(of));
      expect(Object.keys(feeds)).toEqual([of.name]);
      for (const { dims, data } of Object.values(feeds)) expect(data.length).toBe(dims.reduce((product, each) => product * each, 1));
      expect(named.every((name) => OUTPUTS.some((output) => output.name === name))).toBe(true);
      taken++;
    } catch (error) {
      expect(error).toBeInstanceOf(MediaError);
    }
  }), { numRuns: 5000, examples: [[[input()], [], [new Uint8Array(12)], BYTES]] });
  expect(taken).toBeGreaterThan(0);
});
