/** ISO/IEC 14496-12:2022 §4.2: boxes, each behind a 32-bit size and a four-character type, numbers big-endian. */
import { invariant } from '../errors.ts';

/** Where a box began, to be handed to `end`. */
export type BoxStart = number;

/** Writes nested boxes into one growing buffer; sizes are filled in when a box ends. One copy at the most, in `finish`. */
export class BoxWriter {
  #buffer: Buffer;
  #length = 0;
  #open = 0;

  /** `capacity`: bytes expected; more are made room for. */
  constructor(capacity = 512) {
    this.#buffer = Buffer.allocUnsafe(Math.max(16, capacity));
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  /** Begins a box of four ASCII characters. */
  begin(type: string): BoxStart {
    const start = this.#length;
    this.u32(0);
    this.ascii(type);
    this.#open++;
    return start;
  }

  /** Begins a full box (§4.2.2): 8 bits of version and 24 of flags follow the type. */
  beginFull(type: string, version: number, flags: number): BoxStart {
    const start = this.begin(type);
    this.u32(version * 0x1_00_00_00 + flags);
    return start;
  }

  /** Ends the box that began at `start`: writes its size. */
  end(start: BoxStart): void {
    invariant(this.#open > 0, 'a box ended that had not begun');
    this.#open--;
    this.#buffer.writeUInt32BE(this.#length - start, start);
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#length = this.#buffer.writeUInt8(value, this.#length);
  }

  u16(value: number): void {
    this.#reserve(2);
    this.#length = this.#buffer.writeUInt16BE(value, this.#length);
  }

  u32(value: number): void {
    this.#reserve(4);
    this.#length = this.#buffer.writeUInt32BE(value, this.#length);
  }

  /** Each in 32 bits: for tables of a million. */
  u32s(values: Uint32Array): void {
    this.#reserve(values.length * 4);
    const buffer = this.#buffer;
    let at = this.#length;
    for (let i = 0; i < values.length; i++) {
      const value = values[i] ?? 0;
      buffer[at++] = value >>> 24;
      buffer[at++] = value >>> 16;
      buffer[at++] = value >>> 8;
      buffer[at++] = value;
    }
    this.#length = at;
  }

  i32(value: number): void {
    this.#reserve(4);
    this.#length = this.#buffer.writeInt32BE(value, this.#length);
  }

  /** A whole number of 0..2^53 − 1 in 64 bits. */
  u64(value: number): void {
    invariant(Number.isSafeInteger(value) && value >= 0, 'a 64-bit field needs a whole number from 0 to 2^53 − 1');
    this.u32(Math.floor(value / 0x1_0000_0000));
    this.u32(value % 0x1_0000_0000);
  }

  ascii(text: string): void {
    this.#reserve(text.length);
    this.#length += this.#buffer.write(text, this.#length, 'latin1');
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  zeros(count: number): void {
    this.#reserve(count);
    this.#buffer.fill(0, this.#length, this.#length + count);
    this.#length += count;
  }

  /** Overwrites 32 bits written before. */
  patchU32(at: number, value: number): void {
    invariant(at + 4 <= this.#length, 'only what was written can be patched');
    this.#buffer.writeUInt32BE(value, at);
  }

  /** What was written, as a view of the writer's own buffer: write nothing after it. */
  finish(): Buffer {
    invariant(this.#open === 0, 'a box was not ended');
    return this.#buffer.subarray(0, this.#length);
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + count));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}
