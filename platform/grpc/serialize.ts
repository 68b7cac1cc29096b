import { ScalarType, toBinary } from '@bufbuild/protobuf';
import type { DescField, DescMessage, Message } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** A `bytes` field at least so long is appended instead of written: a writer that grows by doubling makes 2 MiB of garbage of a picture of half a MiB. */
const LARGE = 64 << 10;
const NOTHING = new Uint8Array(0);

/**
 * The wire format of a message. Large singular `bytes` fields come last, whatever their numbers: parsers take fields in any order
 * (protobuf.dev, Encoding, "Field Order").
 */
export const serializer = (schema: DescMessage): ((message: Message) => Buffer) => {
  const candidates = schema.fields.filter((field) => field.fieldKind === 'scalar' && field.scalar === ScalarType.BYTES && field.oneof === undefined);
  return (message) => {
    const large = candidates.flatMap((field): Large[] => {
      const bytes = (message as unknown as Record<string, unknown>)[field.localName];
      return bytes instanceof Uint8Array && bytes.length >= LARGE ? [{ field, bytes, head: headOf(field, bytes.length) }] : [];
    });
    if (large.length === 0) return asBuffer(toBinary(schema, message));
    const rest = toBinary(schema, { ...message, ...Object.fromEntries(large.map(({ field }) => [field.localName, NOTHING])) });
    return Buffer.concat([rest, ...large.flatMap(({ head, bytes }) => [head, bytes])]);
  };
};

interface Large {
  readonly field: DescField;
  readonly bytes: Uint8Array;
  readonly head: Uint8Array;
}

const headOf = (field: DescField, length: number): Uint8Array => new BinaryWriter().tag(field.number, WireType.LengthDelimited).uint32(length).finish();

/** protobuf-es writes a fresh array: seen as a Buffer, not copied. */
const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
