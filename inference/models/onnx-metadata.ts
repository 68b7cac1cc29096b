/**
 * Reads `ModelProto.metadata_props` (onnx.proto: field 14, entries of key = 1 and value = 2) straight from the bytes of a model
 * file: onnxruntime-node does not expose them. Everything else is stepped over without being looked at.
 */
import { MediaError } from '../../core/errors.ts';

const METADATA_PROPS = 14;
const MAX_ENTRIES = 1000;
const MAX_ENTRY_BYTES = 1 << 20;

const refuse = (why: string): MediaError => new MediaError('INVALID_ARGUMENT', `not an ONNX model: ${why}`);

/** A cursor over protobuf wire format (protobuf.dev/programming-guides/encoding). Every read is checked against the end. */
export class Wire {
  readonly #bytes: Uint8Array;
  #at: number;
  readonly #end: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  get done(): boolean { return this.#at >= this.#end; }

  /** A varint that fits a double exactly; longer ones (negative int64) only matter as something to step over. */
  varint(): number {
    let value = 0;
    let weight = 1;
    for (let i = 0; i < 10; i++) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined || this.#at >= this.#end) throw refuse('it ends inside a number');
      this.#at++;
      value += (byte & 0x7f) * weight;
      if (byte < 0x80) return value;
      weight *= 128;
    }
    throw refuse('a number has more than ten bytes');
  }

  /** A length-delimited field's place. */
  span(): readonly [start: number, end: number] {
    const length = this.varint();
    const start = this.#at;
    if (length > this.#end - start) throw refuse('a field is longer than the file');
    this.#at = start + length;
    return [start, this.#at];
  }

  skip(wireType: number): void {
    switch (wireType) {
      case 0: this.varint(); return;
      case 1: this.#forward(8); return;
      case 2: this.span(); return;
      case 5: this.#forward(4); return;
      default: throw refuse(`wire type ${wireType}`);
    }
  }

  #forward(bytes: number): void {
    if (bytes > this.#end - this.#at) throw refuse('it ends inside a field');
    this.#at += bytes;
  }
}

/** The model's metadata by key; the last of several equal keys wins. Throws INVALID_ARGUMENT for bytes that are no protobuf. */
export const readOnnxMetadata = (model: Uint8Array): ReadonlyMap<string, string> => {
  const found = new Map<string, string>();
  const text = new TextDecoder();
  const wire = new Wire(model, 0, model.length);
  while (!wire.done) {
    const tag = wire.varint();
    const wireType = tag % 8;
    if (Math.floor(tag / 8) !== METADATA_PROPS || wireType !== 2) {
      wire.skip(wireType);
      continue;
    }
    const [start, end] = wire.span();
    if (end - start > MAX_ENTRY_BYTES || found.size >= MAX_ENTRIES) throw refuse('its metadata is too large');
    const entry = new Wire(model, start, end);
    let key = '';
    let value = '';
    while (!entry.done) {
      const field = entry.varint();
      if (field % 8 !== 2) { entry.skip(field % 8); continue; }
      const [from, to] = entry.span();
      if (field === (1 << 3 | 2)) key = text.decode(model.subarray(from, to));
      else if (field === (2 << 3 | 2)) value = text.decode(model.subarray(from, to));
    }
    found.set(key, value);
  }
  return found;
};
