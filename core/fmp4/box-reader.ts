/** Reads ISO BMFF boxes (ISO/IEC 14496-12:2022 §4.2) from bytes nobody vouches for: every length is checked before it is believed. */
import { MediaError } from '../errors.ts';

/** The header of one box: where it starts, where its payload starts and where it ends (exclusive), in the coordinates of the bytes or file read. */
export interface BoxHeader {
  /** Four characters, Latin-1; `uuid` boxes carry their 16-byte type in the payload. */
  readonly type: string;
  readonly start: number;
  readonly payload: number;
  readonly end: number;
}

/** Bytes that always hold a whole box header: size, type, largesize. */
export const MAX_BOX_HEADER = 16;

/** The refusal of every reader in this folder. */
export const malformed = (what: string, cause?: unknown): MediaError =>
  new MediaError('INVALID_ARGUMENT', `not a readable MP4: ${what}`, { reason: 'MALFORMED_MP4', cause });

/**
 * Reads the box header at `offset` of `bytes`. `base` is added to all positions (the file offset of `bytes[0]`); `limit` (same
 * coordinates) is where the enclosing box or file ends.
 *
 * @returns undefined when the header itself does not fit into `bytes`; a box that ends beyond `limit` is returned: the caller decides
 *   whether it is truncated or hostile. Throws INVALID_ARGUMENT for a size smaller than its own header or over 2^53.
 */
export const readBoxHeader = (bytes: Buffer, offset: number, base: number, limit: number): BoxHeader | undefined => {
  if (offset + 8 > bytes.length) return undefined;
  const start = base + offset;
  const size32 = bytes.readUInt32BE(offset);
  const type = bytes.toString('latin1', offset + 4, offset + 8);
  if (size32 === 0) return { type, start, payload: start + 8, end: limit }; // to the end of the file
  if (size32 !== 1) {
    if (size32 < 8) throw malformed(`box of ${String(size32)} bytes`);
    return { type, start, payload: start + 8, end: start + size32 };
  }
  if (offset + 16 > bytes.length) return undefined;
  const high = bytes.readUInt32BE(offset + 8);
  if (high > 0x1f_ffff) throw malformed('box larger than 2^53 bytes');
  const size = high * 2 ** 32 + bytes.readUInt32BE(offset + 12);
  if (size < 16) throw malformed(`box of ${String(size)} bytes`);
  return { type, start, payload: start + 16, end: start + size };
};

/**
 * The boxes that fill `bytes[start, end)` exactly, in order. Positions are offsets into `bytes`.
 * Throws INVALID_ARGUMENT when one reaches over the end or a header is cut.
 */
export const childBoxes = (bytes: Buffer, start: number, end: number): BoxHeader[] => {
  const boxes: BoxHeader[] = [];
  const within = end === bytes.length ? bytes : bytes.subarray(0, end);
  for (let offset = start; offset < end;) {
    const box = readBoxHeader(within, offset, 0, end);
    if (!box || box.end > end) throw malformed('a box reaches over the end of its parent');
    boxes.push(box);
    offset = box.end;
  }
  return boxes;
};

/** The first child of `type`, or undefined. */
export const findBox = (boxes: readonly BoxHeader[], type: string): BoxHeader | undefined => boxes.find((box) => box.type === type);

/** The first child of `type`; throws INVALID_ARGUMENT when there is none. */
export const needBox = (boxes: readonly BoxHeader[], type: string): BoxHeader => {
  const box = findBox(boxes, type);
  if (!box) throw malformed(`no ${type} box`);
  return box;
};

/** Reads fixed-width fields of one box's payload; reading over its end throws INVALID_ARGUMENT instead of RangeError. */
export class FieldReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  #offset: number;

  constructor(bytes: Buffer, box: BoxHeader) {
    this.#bytes = bytes;
    this.#offset = box.payload;
    this.#end = Math.min(box.end, bytes.length);
  }

  get offset(): number { return this.#offset; }
  get remaining(): number { return this.#end - this.#offset; }

  u8(): number { return this.#bytes.readUInt8(this.#take(1)); }
  u16(): number { return this.#bytes.readUInt16BE(this.#take(2)); }
  u32(): number { return this.#bytes.readUInt32BE(this.#take(4)); }
  i32(): number { return this.#bytes.readInt32BE(this.#take(4)); }

  /** 64 bits; throws INVALID_ARGUMENT over 2^53. */
  u64(): number {
    const high = this.u32();
    if (high > 0x1f_ffff) throw malformed('number over 2^53');
    return high * 2 ** 32 + this.u32();
  }

  skip(length: number): void { this.#take(length); }
  slice(length: number): Buffer {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** Version and flags of a full box. */
  fullBox(): { readonly version: number; readonly flags: number } {
    const word = this.u32();
    return { version: word >>> 24, flags: word & 0xff_ffff };
  }

  #take(length: number): number {
    const at = this.#offset;
    if (length < 0 || at + length > this.#end) throw malformed('a field reaches over the end of its box');
    this.#offset = at + length;
    return at;
  }
}
