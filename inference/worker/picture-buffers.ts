/** Buffers of one size kept for later, and sizes of which there are any. */
const MOST_FREE = 8;
const MOST_SIZES = 16;

/** Buffers for pictures, used again and again: new ones would be paged in anew for each. */
export class PictureBuffers {
  readonly #free = new Map<number, Uint8Array[]>();

  /** May still show another picture. */
  take(bytes: number): Uint8Array {
    return this.#free.get(bytes)?.pop() ?? new Uint8Array(bytes);
  }

  give(buffer: Uint8Array): void {
    const free = this.#free.get(buffer.length);
    if (free) {
      if (free.length < MOST_FREE) free.push(buffer);
      return;
    }
    if (this.#free.size >= MOST_SIZES) this.#free.clear();
    this.#free.set(buffer.length, [buffer]);
  }
}
