import type { MediaTicks } from '../../core/units.ts';

/** Ticks of 90 kHz. Two seconds is the most; a camera of ten pictures a second and more never gets there. */
const INTERVAL: MediaTicks = 1.9 * 90_000;

/** Which pictures of a video are random access: the first, those asked for, and one at least every two seconds. Pure. */
export class KeyframePace {
  #last: MediaTicks | null = null;

  /** The next one is. */
  request(): void {
    this.#last = null;
  }

  /** Whether the picture at `pts` is; pictures in order. */
  takes(pts: MediaTicks): boolean {
    if (this.#last !== null && pts >= this.#last && pts - this.#last < INTERVAL) return false;
    this.#last = pts;
    return true;
  }
}
