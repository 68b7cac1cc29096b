import type { PixelLease } from '../../inference/port.ts';

/**
 * Pixel buffers of one size, used again and again. A buffer is shared by as many leases as `lease` is asked for; when the last is
 * disposed it is free. Buffers nobody returns are simply lost to the collector.
 */
export class PixelPool {
  readonly #bytes: number;
  readonly #fill: number;
  readonly #free: Buffer[] = [];
  /** Free buffers kept; more than a detector can have waiting and on the wire never pile up. */
  static readonly maxFree = 8;

  constructor(bytes: number, fill: number) {
    this.#bytes = bytes;
    this.#fill = fill;
  }

  /** A buffer, all `fill` or with an earlier picture of this pool in it, and `shares` leases on it. */
  take(shares: number): { readonly buffer: Buffer; readonly leases: readonly PixelLease[] } {
    const buffer = this.#free.pop() ?? Buffer.alloc(this.#bytes, this.#fill);
    let left = shares;
    const leases = Array.from({ length: shares }, (): PixelLease => {
      let disposed = false;
      return {
        bytes: buffer,
        [Symbol.dispose]: () => {
          if (disposed) return;
          disposed = true;
          left--;
          if (left === 0 && this.#free.length < PixelPool.maxFree) this.#free.push(buffer);
        },
      };
    });
    return { buffer, leases };
  }
}
