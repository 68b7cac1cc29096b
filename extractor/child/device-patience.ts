import type { Milliseconds } from '../../core/units.ts';

const FIRST_PAUSE_MS: Milliseconds = 60_000;
const LONGEST_PAUSE_MS: Milliseconds = 3_600_000;

/**
 * When a camera whose device failed may try it again: after a minute, doubled with each failure up to an hour; from the start again after an hour in which it worked.
 * A device may fail for what is wrong with a stream, which passes, and then decodes it well. Pure.
 */
export class DevicePatience {
  #pause: Milliseconds = FIRST_PAUSE_MS;
  #failedAt: Milliseconds | null = null;

  failed(now: Milliseconds): void {
    const again = this.#failedAt !== null && now - this.#failedAt < this.#pause + LONGEST_PAUSE_MS;
    this.#pause = again ? Math.min(LONGEST_PAUSE_MS, this.#pause * 2) : FIRST_PAUSE_MS;
    this.#failedAt = now;
  }

  /** Whether the device may be used. */
  allows(now: Milliseconds): boolean {
    return this.#failedAt === null || now - this.#failedAt >= this.#pause;
  }

  /** Nothing is held against it any more. */
  forget(): void {
    this.#failedAt = null;
  }
}
