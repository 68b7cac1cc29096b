import type { Clock } from '../../core/clock.ts';
import type { Milliseconds } from '../../core/units.ts';

/** So much may go at once after a pause. */
const BURST_MS: Milliseconds = 250;

/**
 * Holds what several uploads send together to a rate: a token bucket that lends. Whoever comes while tokens are owed waits until the debt
 * is paid, in the order of coming, so that a piece may be larger than the bucket.
 */
export class Pace {
  readonly #clock: Clock;
  readonly #bytesPerMs: number;
  /** When all that was granted is paid for, on the monotonic clock. */
  #paidAt: Milliseconds;

  constructor(clock: Clock, bitsPerSecond: number) {
    this.#clock = clock;
    this.#bytesPerMs = bitsPerSecond / 8_000;
    this.#paidAt = clock.monotonic() - BURST_MS;
  }

  /** Resolves when `bytes` may go. Rejects with the signal's reason when it aborts. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const now = this.#clock.monotonic();
    const from = Math.max(this.#paidAt, now - BURST_MS);
    this.#paidAt = from + bytes / this.#bytesPerMs;
    if (from > now) await wait(this.#clock, from - now, signal);
  }
}

/** Resolves after `delay` on the clock; rejects with the signal's reason when it aborts. */
export const wait = (clock: Clock, delay: Milliseconds, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    if (signal.aborted) { reject(signal.reason as Error); return; }
    const onAbort = (): void => { timer[Symbol.dispose](); reject(signal.reason as Error); };
    const timer = clock.after(delay, () => { signal.removeEventListener('abort', onAbort); resolve(); });
    signal.addEventListener('abort', onAbort, { once: true });
  });
