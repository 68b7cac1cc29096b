import { invariant } from '../errors.ts';

/**
 * The samples of one track, one typed array per property: six hours of a camera are 1.6 million samples, which as objects would be
 * hundreds of megabytes. 41 bytes a sample.
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

  constructor(capacity = 256) {
    this.#capacity = capacity;
    this.dts = new Float64Array(capacity);
    this.pts = new Float64Array(capacity);
    this.offset = new Float64Array(capacity);
    this.duration = new Uint32Array(capacity);
    this.bytes = new Uint32Array(capacity);
    this.part = new Uint32Array(capacity);
    this.sync = new Uint8Array(capacity);
  }

  /** `length` samples, all zero: to be filled column by column. */
  static filled(length: number): SampleColumns {
    const samples = new SampleColumns(Math.max(1, length));
    samples.#length = length;
    return samples;
  }

  get length(): number { return this.#length; }
  /** Memory held, for caches. */
  get byteSize(): number { return this.#capacity * 41; }

  push(dts: number, pts: number, duration: number, offset: number, bytes: number, sync: boolean, part: number): void {
    if (this.#length === this.#capacity) this.#resize(this.#capacity * 2);
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
    const grow = <T extends Float64Array | Uint32Array | Uint8Array>(to: T, from: T): T => {
      to.set(from.length > capacity ? from.subarray(0, capacity) : from);
      return to;
    };
    this.dts = grow(new Float64Array(capacity), this.dts);
    this.pts = grow(new Float64Array(capacity), this.pts);
    this.offset = grow(new Float64Array(capacity), this.offset);
    this.duration = grow(new Uint32Array(capacity), this.duration);
    this.bytes = grow(new Uint32Array(capacity), this.bytes);
    this.part = grow(new Uint32Array(capacity), this.part);
    this.sync = grow(new Uint8Array(capacity), this.sync);
    this.#capacity = capacity;
  }
}
