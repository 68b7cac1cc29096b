import { create } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MediaError } from '../../../core/errors.ts';
import { ModelInferResponseSchema, ModelMetadataResponseSchema } from '../../../proto/gen/inference/kserve_pb.ts';
import { outputShapes, outputValues, servedModel } from './kserve-tensors.ts';

const DATATYPES = ['FP32', 'FP16', 'INT32', 'INT64', 'UINT8', 'BYTES', 'BOOL', '', 'constructor'];
const tensor = fc.record({
  name: fc.oneof(fc.constantFrom('a', 'b'), fc.string()),
  datatype: fc.constantFrom(...DATATYPES),
  shape: fc.array(fc.oneof(fc.bigInt({ min: -2n, max: 4n }), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })), { maxLength: 10 }),
});
const answers = <T>(work: () => T): T | null => {
  try {
    return work();
  } catch (error) {
    expect(error).toBeInstanceOf(MediaError);
    return null;
  }
};

test('[INF-4] whatever a server answers is read, as many values as its shape says, or refused', () => {
  let read = 0;
  const raws = fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 4 });
  fc.assert(fc.property(fc.array(tensor, { maxLength: 4 }), raws, (outputs, rawOutputContents) => {
    const response = create(ModelInferResponseSchema, { outputs, rawOutputContents });
    answers(() => outputShapes(response));
    for (const { dims, values } of answers(() => outputValues(response, ['a'])) ?? []) {
      expect(values.length).toBe(dims.reduce((product, size) => product * size, 1));
      read++;
    }
  }), { numRuns: 2000, examples: [[[{ name: 'a', datatype: 'FP32', shape: [1n, 2n] }], [new Uint8Array(8)]]] });
  expect(read).toBeGreaterThan(0);
});

test('[INF-4] whatever a server says of a model is a model or is refused', () => {
  fc.assert(fc.property(fc.string(), fc.array(fc.string()), fc.array(tensor), fc.array(tensor), (platform, versions, inputs, outputs) => {
    const served = answers(() => servedModel(create(ModelMetadataResponseSchema, { platform, versions, inputs, outputs })));
    if (served) expect([served.inputs.length, served.outputs.length]).toEqual([inputs.length, outputs.length]);
  }));
});

test.each([0, 1, 2, 3, 4, 5, 6, 7])('[INF-4] values are read wherever they begin in a message: %i bytes in', (offset) => {
  const at = (values: Float32Array | Float16Array | Int32Array | BigInt64Array): Uint8Array => {
    const message = Buffer.alloc(offset + values.byteLength);
    message.set(new Uint8Array(values.buffer), offset);
    return message.subarray(offset);
  };
  const cases = { FP32: Float32Array.of(1.5, -2), FP16: Float16Array.of(1.5, -2), INT32: Int32Array.of(7, -2), INT64: BigInt64Array.of(7n, -2n) };
  for (const [datatype, values] of Object.entries(cases)) {
    const response = create(ModelInferResponseSchema, { outputs: [{ name: 'o', datatype, shape: [2n] }], rawOutputContents: [at(values)] });
    expect([...outputValues(response, ['o'])[0]!.values]).toEqual(Array.from<number | bigint, number>(values, Number));
  }
});
