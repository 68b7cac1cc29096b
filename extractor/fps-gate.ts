import type { MediaTicks } from '../core/units.ts';

/** A picture may come so much of an interval before its time: cameras' timestamps jitter. */
const TOLERANCE = 0.25;

/**
 * Chooses which pictures a detector of so many pictures a second sees, by presentation time alone: the first, then each that comes at
 * or after the next due time. Due times advance by whole intervals, so the long-term rate is exact; a gap is not made up for.
 */
export class FpsGate {
  readonly #interval: number;
  #due: MediaTicks | null = null;

  constructor(fps: number, clockRate: number) {
    this.#interval = clockRate / fps;
  }

  /** Pictures in order of presentation. */
  takes(pts: MediaTicks): boolean {
    const interval = this.#interval;
    if (this.#due === null || pts < this.#due - 2 * interval) { // the first, or time went back: a new epoch
      this.#due = pts + interval;
      return true;
    }
    if (pts + interval * TOLERANCE < this.#due) return false;
    this.#due = pts > this.#due + interval ? pts + interval : this.#due + interval;
    return true;
  }

  reset(): void {
    this.#due = null;
  }
}
