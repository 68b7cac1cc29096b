import { invariant } from '../errors.ts';

const BYTES_PER_SAMPLE = 37;
const FIRST_CAPACITY = 256;

/**
 * The samples of one track, one typed array per property: six hours of a camera are 1.6 million samples, which as objects would be
 * hundreds of megabytes. 37 bytes a sample.
 */
export class SampleColumns {
  #capacity: number;
  #length = 0;
  dts: Float64Array;
  pts: Float64Array;
  /** Where the bytes are, offset in the file. */
  offset: Float64Array;
  duration: Uint32Array;
  bytes: Uint32Array;
  /** Which part of the file it is in, counted from 0. */
  part: Uint32Array;
  /** 1: a decoder can start here. */
  sync: Uint8Array;

  constructor(capacity = 0) {
    this.#capacity = capacity;
    // One allocation: thousands of files are read for one playback.
    const room = new ArrayBuffer(capacity * BYTES_PER_SAMPLE);
    this.dts = new Float64Array(room, 0, capacity);
    this.pts = new Float64Array(room, capacity * 8, capacity);
    this.offset = new Float64Array(room, capacity * 16, capacity);
    this.duration = new Uint32Array(room, capacity * 24, capacity);
    this.bytes = new Uint32Array(room, capacity * 28, capacity);
    this.part = new Uint32Array(room, capacity * 32, capacity);
    this.sync = new Uint8Array(room, capacity * 36, capacity);
  }

  /** `length` samples, all zero: to be filled column by column. */
  static filled(length: number): SampleColumns {
    const samples = new SampleColumns(Math.max(1, length));
    samples.#length = length;
    return samples;
  }

  get length(): number { return this.#length; }
  /** Memory held, for caches. */
  get byteSize(): number { return this.#capacity * BYTES_PER_SAMPLE; }

  push(dts: number, pts: number, duration: number, offset: number, bytes: number, sync: boolean, part: number): void {
    if (this.#length === this.#capacity) this.#resize(Math.max(FIRST_CAPACITY, this.#capacity * 2));
    const i = this.#length++;
    this.dts[i] = dts;
    this.pts[i] = pts;
    this.duration[i] = duration;
    this.offset[i] = offset;
    this.bytes[i] = bytes;
    this.sync[i] = sync ? 1 : 0;
    this.part[i] = part;
  }

  /** Forgets the samples from `length` on: their part turned out to be incomplete. */
  truncate(length: number): void {
    invariant(length <= this.#length, 'truncate only shortens');
    this.#length = length;
  }

  /** Gives back the room that growing left over. */
  trim(): void {
    if (this.#capacity > this.#length) this.#resize(Math.max(1, this.#length));
  }

  #resize(capacity: number): void {
    const to = new SampleColumns(capacity);
    for (const column of ['dts', 'pts', 'offset', 'duration', 'bytes', 'part', 'sync'] as const) {
      const from = this[column];
      to[column].set(from.length > capacity ? from.subarray(0, capacity) : from);
    }
    ({ dts: this.dts, pts: this.pts, offset: this.offset, duration: this.duration, bytes: this.bytes, part: this.part, sync: this.sync } = to);
    this.#capacity = capacity;
  }
}
