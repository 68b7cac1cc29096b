/**
 * Reads a `ModelInferRequest` (KServe v2, proto/inference/kserve.proto) from its wire format (protobuf.dev/programming-guides/encoding).
 * A parser made from the schema makes a number or an object of each value before anybody can look at how many there are: a message of
 * some megabytes would fill the memory. Here values stay bytes of the message, and what else it may have is bounded.
 */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { MediaError, messageOf } from '../../../core/errors.ts';

export interface InferRequest {
  readonly model: string;
  /** Empty: the server chooses. */
  readonly version: string;
  readonly id: string;
  /** Their names; what they say is not looked at. */
  readonly parameters: readonly string[];
  readonly inputs: readonly InferInput[];
  /** None: all there are. */
  readonly outputs: readonly RequestedOutput[];
  /** Of the inputs, in their order; row-major, little-endian. Views into the message. */
  readonly raw: readonly Uint8Array[];
}

export interface InferInput {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly bigint[];
  readonly parameters: readonly string[];
  /** Values that came in a field of their type, in the order they came. */
  readonly contents: readonly TypedContents[];
}

/** Packed values of one field of `InferTensorContents`. */
export interface TypedContents {
  readonly field: number;
  readonly packed: Uint8Array;
}

export interface RequestedOutput {
  readonly name: string;
  readonly parameters: readonly string[];
}

/** Of a message with all that is nested in it; what is unknown counts. */
const MAX_FIELDS = 4096;
const MAX_TENSORS = 64;
const MAX_RANK = 8;
const MAX_TEXT_BYTES = 1024;

const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A field that is told by a length, or a varint; others are stepped over. */
interface Field {
  readonly no: number;
  readonly value: Uint8Array | bigint;
}

/** One message, read once. */
class RequestReader {
  #fields = 0;

  read(bytes: Uint8Array): InferRequest {
    let [model, version, id] = ['', '', ''];
    const [parameters, inputs, outputs, raw]: [string[], InferInput[], RequestedOutput[], Uint8Array[]] = [[], [], [], []];
    for (const { no, value } of this.#each(bytes)) {
      if (typeof value === 'bigint') continue;
      switch (no) {
        case 1: model = readText(value, 'model_name'); break;
        case 2: version = readText(value, 'model_version'); break;
        case 3: id = readText(value, 'id'); break;
        case 4: parameters.push(this.#key(value)); break;
        case 5: add(inputs, this.#input(value), 'inputs'); break;
        case 6: add(outputs, this.#output(value), 'outputs'); break;
        case 7: add(raw, value, 'raw_input_contents'); break;
        default:
      }
    }
    return { model, version, id, parameters, inputs, outputs, raw };
  }

  #input(bytes: Uint8Array): InferInput {
    let [name, datatype] = ['', ''];
    const [shape, parameters, contents]: [bigint[], string[], TypedContents[]] = [[], [], []];
    for (const { no, value } of this.#each(bytes)) {
      if (no === 3) readSizes(value, shape);
      else if (typeof value === 'bigint') continue;
      else if (no === 1) name = readText(value, 'the name of an input');
      else if (no === 2) datatype = readText(value, 'the datatype of an input');
      else if (no === 4) parameters.push(this.#key(value));
      else if (no === 5) contents.push(...this.#contents(value));
    }
    return { name, datatype, shape, parameters, contents };
  }

  #contents(bytes: Uint8Array): readonly TypedContents[] {
    const contents: TypedContents[] = [];
    for (const { no, value } of this.#each(bytes, 'contents must be packed, as proto3 writes them')) {
      if (typeof value !== 'bigint') contents.push({ field: no, packed: value });
    }
    return contents;
  }

  #output(bytes: Uint8Array): RequestedOutput {
    let name = '';
    const parameters: string[] = [];
    for (const { no, value } of this.#each(bytes)) {
      if (typeof value === 'bigint') continue;
      if (no === 1) name = readText(value, 'the name of an output');
      else if (no === 2) parameters.push(this.#key(value));
    }
    return { name, parameters };
  }

  /** The name of a parameter: of an entry of a map. */
  #key(bytes: Uint8Array): string {
    let key = '';
    for (const { no, value } of this.#each(bytes)) if (no === 1 && typeof value !== 'bigint') key = readText(value, 'the name of a parameter');
    return key;
  }

  /** `othersRefused`: why a field that has no length is refused. */
  *#each(bytes: Uint8Array, othersRefused: string | null = null): Generator<Field> {
    const reader = new BinaryReader(bytes);
    while (reader.pos < reader.len) {
      const [no, wireType] = reader.tag();
      if (++this.#fields > MAX_FIELDS) throw refuse(`it has more than ${MAX_FIELDS} fields`);
      if (wireType === WireType.StartGroup || wireType === WireType.EndGroup) throw refuse('it has groups, which proto3 does not');
      if (wireType === WireType.LengthDelimited) yield { no, value: reader.bytes() };
      else if (othersRefused !== null) throw refuse(othersRefused);
      else if (wireType === WireType.Varint) yield { no, value: BigInt(reader.int64()) };
      else reader.skip(wireType);
    }
  }
}

const refuse = (why: string): MediaError => new MediaError('INVALID_ARGUMENT', `not a ModelInferRequest: ${why}`);

const add = <T>(to: T[], value: T, what: string): void => {
  if (to.length >= MAX_TENSORS) throw refuse(`more than ${MAX_TENSORS} ${what}`);
  to.push(value);
};

const readText = (bytes: Uint8Array, what: string): string => {
  if (bytes.length > MAX_TEXT_BYTES) throw refuse(`${what} has ${bytes.length} bytes, at most ${MAX_TEXT_BYTES} are taken`);
  return text.decode(bytes);
};

/** Packed, or one by one. */
const readSizes = (value: Uint8Array | bigint, to: bigint[]): void => {
  const put = (size: bigint): void => {
    if (to.length >= MAX_RANK) throw refuse(`a shape has more than ${MAX_RANK} dimensions`);
    to.push(size);
  };
  if (typeof value === 'bigint') {
    put(value);
    return;
  }
  const reader = new BinaryReader(value);
  while (reader.pos < reader.len) put(BigInt(reader.int64()));
};

/** Throws INVALID_ARGUMENT for what is no such message, or has more than a request needs. */
export const readInferRequest = (bytes: Uint8Array): InferRequest => {
  try {
    return new RequestReader().read(bytes);
  } catch (error) {
    if (error instanceof MediaError) throw error;
    throw refuse(messageOf(error));
  }
};
