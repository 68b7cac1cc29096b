import { create, toBinary } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MediaError } from '../../../core/errors.ts';
import { ModelInferRequestSchema } from '../../../proto/gen/inference/kserve_pb.ts';
import { readInferRequest } from './infer-request.ts';
import type { InferRequest } from './infer-request.ts';

const encode = (request: MessageInitShape<typeof ModelInferRequestSchema>): Uint8Array => toBinary(ModelInferRequestSchema, create(ModelInferRequestSchema, request));
const refusal = (bytes: Uint8Array): string => {
  try {
    readInferRequest(bytes);
  } catch (error) {
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' });
    return (error as Error).message;
  }
  return 'none';
};
const byte = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);
const INT64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const word = fc.string({ unit: 'binary', maxLength: 20 });
const parameters = fc.dictionary(word, fc.oneof(
  fc.record({ parameterChoice: fc.record({ case: fc.constant('int64Param' as const), value: INT64 }) }),
  fc.record({ parameterChoice: fc.record({ case: fc.constant('stringParam' as const), value: word }) }),
), { maxKeys: 3 });
const contents = fc.record({ fp32Contents: fc.array(fc.float()), uintContents: fc.array(fc.nat()), int64Contents: fc.array(INT64), bytesContents: fc.array(fc.uint8Array({ maxLength: 5 }), { maxLength: 3 }) });
const requests = fc.record({
  modelName: word, modelVersion: word, id: word, parameters,
  inputs: fc.array(fc.record({ name: word, datatype: word, shape: fc.array(INT64, { maxLength: 8 }), parameters, contents }), { maxLength: 4 }),
  outputs: fc.array(fc.record({ name: word, parameters }), { maxLength: 4 }),
  rawInputContents: fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 4 }),
});

test('[INF-4] what others write by the schema is read', () => {
  fc.assert(fc.property(requests, (request) => {
    const read = readInferRequest(encode(request));
    expect(read).toMatchObject({
      model: request.modelName, version: request.modelVersion, id: request.id, outputs: request.outputs.map(({ name }) => ({ name })), raw: request.rawInputContents,
      inputs: request.inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
    } satisfies Partial<Record<keyof InferRequest, unknown>>);
    expect(new Set(read.parameters)).toEqual(new Set(Object.keys(request.parameters)));
    for (const [at, { parameters: given, contents: values }] of request.inputs.entries()) {
      const input = read.inputs[at];
      expect(new Set(input?.parameters)).toEqual(new Set(Object.keys(given)));
      const floats = Buffer.concat((input?.contents ?? []).filter(({ field }) => field === 6).map(({ packed }) => packed));
      expect(floats).toEqual(Buffer.from(Float32Array.from(values.fp32Contents).buffer));
    }
  }), { numRuns: 500, examples: [[{ modelName: '\uFEFFm', modelVersion: '', id: 'ä😀', parameters: {}, inputs: [], outputs: [], rawInputContents: [] }]] });
});

test('[INF-4] any bytes are read or refused; so is a request of which a byte is another, or the end is missing', () => {
  const harmless = (bytes: Uint8Array): void => {
    try {
      readInferRequest(bytes);
    } catch (error) {
      expect(error).toBeInstanceOf(MediaError);
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), harmless), { numRuns: 5000 });
  fc.assert(fc.property(requests, fc.nat(), fc.nat(255), (request, at, value) => {
    const bytes = encode(request);
    harmless(bytes.subarray(0, at % (bytes.length + 1)));
    bytes[at % bytes.length] = value;
    harmless(bytes);
  }), { numRuns: 2000 });
});

test('[INF-4] raw contents are views into the message: nothing is copied', () => {
  const bytes = encode({ rawInputContents: [new Uint8Array(1000).fill(7)] });
  expect(readInferRequest(bytes).raw[0]?.buffer).toBe(bytes.buffer);
});

test('[INF-4] sizes of a shape may come one by one, as proto2 writes them; fields of no use here are stepped over', () => {
  const input = byte(3 << 3, 1, 3 << 3 | 2, 2, 2, 3, 3 << 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1);
  const read = readInferRequest(byte(5 << 3 | 2, input.length, ...input, 0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7d, 1, 2, 3, 4, 1 << 3, 5, 100 << 3 & 0x7f | 0x80 | 2, 6, 1, 9));
  expect(read.inputs[0]?.shape).toEqual([1n, 2n, 3n, -1n]);
  expect(read.model).toBe('');
});

test.each([
  ['many fields', Buffer.alloc(10_000, Buffer.from([0x78, 0])), 'more than 4096 fields'],
  ['many fields in an input', Buffer.concat([byte(5 << 3 | 2, 0x90, 0x4e), Buffer.alloc(10_000, Buffer.from([0x78, 0]))]), 'more than 4096 fields'],
  ['many inputs', encode({ inputs: Array.from({ length: 65 }, () => ({})) }), 'more than 64 inputs'],
  ['many outputs', encode({ outputs: Array.from({ length: 65 }, () => ({})) }), 'more than 64 outputs'],
  ['many raw contents', encode({ rawInputContents: Array.from({ length: 65 }, () => byte(1)) }), 'more than 64 raw_input_contents'],
  ['many dimensions', encode({ inputs: [{ shape: new Array<bigint>(9).fill(1n) }] }), 'more than 8 dimensions'],
  ['a long name', encode({ modelName: 'x'.repeat(1025) }), 'model_name has 1025 bytes'],
  ['a long id', encode({ id: 'x'.repeat(1025) }), 'id has 1025 bytes'],
  ['a name that is no UTF-8', byte(1 << 3 | 2, 1, 0xff), 'not a ModelInferRequest'],
  ['values one by one', byte(5 << 3 | 2, 4, 5 << 3 | 2, 2, 4 << 3, 7), 'contents must be packed'],
  ['groups', byte(1 << 3 | 3, 1 << 3 | 4), 'groups'],
  ['an end in a field', byte(1 << 3 | 2, 5, 0x61), 'not a ModelInferRequest'],
])('[INF-4] refused with the reason: %s', (_what, bytes, reason) => {
  expect(refusal(bytes)).toContain(reason);
});
