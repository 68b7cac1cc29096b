import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DetectRequestSchema, DetectResponseSchema } from '../../proto/gen/imageflow/v1/inference_pb.ts';
import { ModelInferRequestSchema } from '../../proto/gen/inference/kserve_pb.ts';
import { serializer } from './serialize.ts';

test('[INF-1] a message is the same to whoever reads it, however large its picture', () => {
  const serialize = serializer(DetectRequestSchema);
  fc.assert(fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.string(), fc.option(fc.float({ noNaN: true, min: 0, max: 1 })), fc.constantFrom(0, 1, 65_535, 65_536, 519_168), (requestId, model, confidence, length) => {
    const message = create(DetectRequestSchema, {
      requestId, model, pixels: new Uint8Array(length).fill(114), sourceWidth: 1920, ...(confidence === null ? {} : { confidence }), picture: { stream: 'line-1', sequence: 7n },
    });
    const bytes = serialize(message);
    expect(fromBinary(DetectRequestSchema, new Uint8Array(bytes))).toEqual(fromBinary(DetectRequestSchema, toBinary(DetectRequestSchema, message)));
    expect(bytes.length).toBe(toBinary(DetectRequestSchema, message).length);
    expect(message.pixels.length).toBe(length);
  }), { numRuns: 50 });
});

test('[INF-4] so is one of several large fields of one name: none is lost and their order is kept', () => {
  const serialize = serializer(ModelInferRequestSchema);
  fc.assert(fc.property(fc.string(), fc.array(fc.constantFrom(0, 1, 65_535, 65_536, 200_000), { maxLength: 4 }), (modelName, lengths) => {
    const message = create(ModelInferRequestSchema, { modelName, rawInputContents: lengths.map((length, i) => new Uint8Array(length).fill(i + 1)), outputs: [{ name: 'o' }] });
    const bytes = serialize(message);
    expect(fromBinary(ModelInferRequestSchema, new Uint8Array(bytes))).toEqual(fromBinary(ModelInferRequestSchema, toBinary(ModelInferRequestSchema, message)));
    expect(message.rawInputContents.map(({ length }) => length)).toEqual(lengths);
  }), { numRuns: 50 });
});

test('a message without large fields is what protobuf-es makes of it', () => {
  const message = create(DetectResponseSchema, { message: { case: 'grant', value: { credits: 3 } } });
  expect(Buffer.from(toBinary(DetectResponseSchema, message)).equals(serializer(DetectResponseSchema)(message))).toBe(true);
});
