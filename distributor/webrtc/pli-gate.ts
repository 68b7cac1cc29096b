import type { Clock } from '../../core/clock.ts';
import type { Milliseconds } from '../../core/units.ts';

const MIN_INTERVAL_MS: Milliseconds = 500;

/**
 * Turns the key frame requests of any number of viewers into at most one per 500 ms towards the camera. A request that comes too soon is
 * sent when the time is over, unless a key frame has come meanwhile.
 */
export class PliGate implements Disposable {
  readonly #clock: Clock;
  readonly #send: () => void;
  #lastSent: Milliseconds | null = null;
  #pending: Disposable | null = null;

  constructor(clock: Clock, send: () => void) {
    this.#clock = clock;
    this.#send = send;
  }

  request(): void {
    if (this.#pending) return;
    const now = this.#clock.monotonic();
    const wait = this.#lastSent === null ? 0 : this.#lastSent + MIN_INTERVAL_MS - now;
    if (wait <= 0) this.#fire();
    else this.#pending = this.#clock.after(wait, () => { this.#fire(); });
  }

  /** A random access picture passed: what was asked for is there. */
  satisfied(): void {
    this.#pending?.[Symbol.dispose]();
    this.#pending = null;
  }

  [Symbol.dispose](): void {
    this.satisfied();
  }

  #fire(): void {
    this.#pending = null;
    this.#lastSent = this.#clock.monotonic();
    this.#send();
  }
}
