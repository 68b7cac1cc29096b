import type { ProgressiveExtent } from './progressive.ts';

/** What a table is made of: it can be handed from one thread to another without being copied. */
export interface ExtentColumns {
  readonly source: Uint32Array<ArrayBuffer>;
  readonly offset: Float64Array<ArrayBuffer>;
  readonly length: Uint32Array<ArrayBuffer>;
  readonly position: Float64Array<ArrayBuffer>;
  /** Bytes of our own, by the number of their extent. */
  readonly inline: ReadonlyMap<number, Uint8Array>;
}

/** Extents as one typed array per property: ten hours of a camera are 180,000 of them. */
export class ExtentTable {
  #source = new Uint32Array(64);
  #offset = new Float64Array(64);
  #length = new Uint32Array(64);
  #position = new Float64Array(64);
  #inline = new Map<number, Uint8Array>();
  #count = 0;

  static of({ source, offset, length, position, inline }: ExtentColumns): ExtentTable {
    const table = new ExtentTable();
    [table.#source, table.#offset, table.#length, table.#position, table.#inline, table.#count] = [source, offset, length, position, new Map(inline), source.length];
    return table;
  }

  get count(): number { return this.#count; }
  /** Memory held, for caches. */
  get byteSize(): number { return this.#source.length * 24 + this.#inline.size * 256; }

  /** `length` is below 4 GiB: an extent is what one part holds. */
  push(source: number, offset: number, length: number, position: number, inline?: Buffer): void {
    if (this.#count === this.#source.length) this.#resize(this.#count * 2);
    const i = this.#count++;
    this.#source[i] = source;
    this.#offset[i] = offset;
    this.#length[i] = length;
    this.#position[i] = position;
    if (inline) this.#inline.set(i, inline);
  }

  /** Undefined beyond the end. */
  at(i: number): ProgressiveExtent | undefined {
    if (i >= this.#count) return undefined;
    const inline = this.#inline.get(i);
    return {
      source: this.#source[i] ?? 0, offset: this.#offset[i] ?? 0, length: this.#length[i] ?? 0, position: this.#position[i] ?? 0,
      ...(inline === undefined ? {} : { inline: Buffer.from(inline.buffer, inline.byteOffset, inline.byteLength) }),
    };
  }

  /** The number of the first extent that ends after `position`. */
  find(position: number): number {
    let low = 0;
    for (let high = this.#count; low < high;) {
      const middle = (low + high) >>> 1;
      if ((this.#position[middle] ?? 0) + (this.#length[middle] ?? 0) <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Moves all of them by `bytes` in the output, and gives back the room that growing left over. */
  finish(bytes: number): void {
    this.#resize(Math.max(1, this.#count));
    for (let i = 0; i < this.#count; i++) this.#position[i] = (this.#position[i] ?? 0) + bytes;
  }

  columns(): ExtentColumns {
    return { source: this.#source.slice(0, this.#count), offset: this.#offset.slice(0, this.#count), length: this.#length.slice(0, this.#count), position: this.#position.slice(0, this.#count), inline: this.#inline };
  }

  #resize(capacity: number): void {
    const moved = <T extends Float64Array<ArrayBuffer> | Uint32Array<ArrayBuffer>>(to: T, from: T): T => {
      to.set(from.length > capacity ? from.subarray(0, capacity) : from);
      return to;
    };
    this.#source = moved(new Uint32Array(capacity), this.#source);
    this.#offset = moved(new Float64Array(capacity), this.#offset);
    this.#length = moved(new Uint32Array(capacity), this.#length);
    this.#position = moved(new Float64Array(capacity), this.#position);
  }
}
