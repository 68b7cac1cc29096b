import { ScalarType, toBinary } from '@bufbuild/protobuf';
import type { DescField, DescMessage, Message } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** A `bytes` field at least so long is appended instead of written: a writer that grows by doubling makes 2 MiB of garbage of a picture of half a MiB. */
const LARGE = 64 << 10;
const NOTHING = new Uint8Array(0);

/**
 * The wire format of a message. Large `bytes` fields come last, whatever their numbers, and whole where they are repeated: parsers take
 * fields in any order, and the items of one field in the order they come (protobuf.dev, Encoding, "Field Order").
 */
export const serializer = (schema: DescMessage): ((message: Message) => Buffer) => {
  const single = schema.fields.filter((field) => field.fieldKind === 'scalar' && field.scalar === ScalarType.BYTES && field.oneof === undefined);
  const repeated = schema.fields.filter((field) => field.fieldKind === 'list' && field.listKind === 'scalar' && field.scalar === ScalarType.BYTES);
  return (message) => {
    const valueOf = (field: DescField): unknown => (message as unknown as Record<string, unknown>)[field.localName];
    const large: Large[] = [];
    for (const field of single) {
      const bytes = valueOf(field);
      if (bytes instanceof Uint8Array && bytes.length >= LARGE) large.push({ field, empty: NOTHING, items: [bytes] });
    }
    for (const field of repeated) {
      const items = valueOf(field) as readonly Uint8Array[];
      if (items.some((bytes) => bytes.length >= LARGE)) large.push({ field, empty: [], items });
    }
    if (large.length === 0) return asBuffer(toBinary(schema, message));
    const rest = toBinary(schema, { ...message, ...Object.fromEntries(large.map(({ field, empty }) => [field.localName, empty])) });
    return Buffer.concat([rest, ...large.flatMap(({ field, items }) => items.flatMap((bytes) => [headOf(field, bytes.length), bytes]))]);
  };
};

interface Large {
  readonly field: DescField;
  /** What is written in its place. */
  readonly empty: Uint8Array | readonly never[];
  readonly items: readonly Uint8Array[];
}

const headOf = (field: DescField, length: number): Uint8Array => new BinaryWriter().tag(field.number, WireType.LengthDelimited).uint32(length).finish();

/** protobuf-es writes a fresh array: seen as a Buffer, not copied. */
const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
