import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';

/** A store that takes or gives no byte for so long is stuck. */
export const STALL: Milliseconds = 30_000;

/** A signal that aborts when nothing has moved for `limit`, or when `parent` does. An upload has no other deadline: its length and the rate it may have are not ours to know. */
export class Watchdog implements Disposable {
  readonly signal: AbortSignal;
  readonly #controller = new AbortController();
  readonly #clock: Clock;
  readonly #limit: Milliseconds;
  #timer: Disposable;
  #movedAt: Milliseconds;
  #waiting = 0;

  constructor(clock: Clock, limit: Milliseconds, parent: AbortSignal) {
    this.#clock = clock;
    this.#limit = limit;
    this.signal = AbortSignal.any([this.#controller.signal, parent]);
    this.#movedAt = clock.monotonic();
    this.#timer = clock.after(limit, () => { this.#look(); });
  }

  /** Something has moved. */
  touch(): void {
    this.#movedAt = this.#clock.monotonic();
  }

  /** Waits for something of ours, which is no fault of the store's. */
  async excuse<T>(ours: Promise<T>): Promise<T> {
    this.#waiting++;
    try {
      return await ours;
    } finally {
      this.#waiting--;
      this.touch();
    }
  }

  /** Aborts with `reason`: it is over, and not for want of an answer. */
  fail(reason: unknown): void {
    this.#controller.abort(reason);
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
  }

  #look(): void {
    const left = this.#waiting > 0 ? this.#limit : this.#movedAt + this.#limit - this.#clock.monotonic();
    if (left > 0) this.#timer = this.#clock.after(left, () => { this.#look(); });
    else this.#controller.abort(new MediaError('DEADLINE_EXCEEDED', `the object store does not answer for ${this.#limit} ms`, { reason: 'OBJECT_STORE_STUCK' }));
  }
}
