import type { Clock } from './clock.ts';
import type { Milliseconds } from './units.ts';

/** A clock that moves only when told to; timers run in order of their due time. For tests. */
export class FakeClock implements Clock {
  #monotonic = 0;
  #offset: number;
  #timers: { due: number; period: number | null; callback: () => void }[] = [];

  constructor(wall: Milliseconds = 1_750_000_000_000) {
    this.#offset = wall;
  }
  now(): Milliseconds { return this.#offset + this.#monotonic; }
  monotonic(): Milliseconds { return this.#monotonic; }
  after(delay: Milliseconds, callback: () => void): Disposable { return this.#add(delay, null, callback); }
  every(period: Milliseconds, callback: () => void): Disposable { return this.#add(period, period, callback); }

  /** Moves both clocks forward by `ms`, running every timer that falls due on the way. */
  advance(ms: Milliseconds): void {
    const end = this.#monotonic + ms;
    for (;;) {
      const [first] = this.#timers;
      if (first === undefined) break;
      const next = this.#timers.reduce((soonest, t) => (t.due < soonest.due ? t : soonest), first);
      if (next.due > end) break;
      this.#monotonic = Math.max(this.#monotonic, next.due);
      if (next.period === null) this.#timers = this.#timers.filter((t) => t !== next);
      else next.due += next.period;
      next.callback();
    }
    this.#monotonic = end;
  }

  /** Milliseconds to go of every one-shot timer: tells a test that the code under test has come to wait. */
  get waiting(): readonly Milliseconds[] { return this.#timers.filter((t) => t.period === null).map((t) => t.due - this.#monotonic); }

  /** Steps the wall clock alone, as an operator or NTP would. */
  step(ms: Milliseconds): void { this.#offset += ms; }

  #add(delay: number, period: number | null, callback: () => void): Disposable {
    const timer = { due: this.#monotonic + delay, period, callback };
    this.#timers.push(timer);
    return { [Symbol.dispose]: () => { this.#timers = this.#timers.filter((t) => t !== timer); } };
  }
}
