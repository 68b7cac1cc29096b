import { LRUCache } from 'lru-cache';
import type { Clock } from '../core/clock.ts';
import { MediaError } from '../core/errors.ts';
import type { Milliseconds } from '../core/units.ts';

const WINDOW_MS: Milliseconds = 60_000;
/** Clients remembered; of more, those seen longest ago begin anew. */
const MAX_CLIENTS = 10_000;

/** How many calls each client may make in a minute (spec 2.6): windows of a minute, each from its client's first call on. */
export class CallBudget {
  readonly #perMinute: number;
  readonly #clock: Clock;
  readonly #windows = new LRUCache<string, { readonly until: Milliseconds; calls: number }>({ max: MAX_CLIENTS });

  constructor(perMinute: number, clock: Clock) {
    this.#perMinute = perMinute;
    this.#clock = clock;
  }

  /** Counts one call. Throws RESOURCE_EXHAUSTED, with the seconds until the next window, when there were too many. */
  spend(client: string): void {
    const now = this.#clock.monotonic();
    let window = this.#windows.get(client);
    if (window === undefined || window.until <= now) this.#windows.set(client, (window = { until: now + WINDOW_MS, calls: 0 }));
    window.calls += 1;
    if (window.calls <= this.#perMinute) return;
    throw new MediaError('RESOURCE_EXHAUSTED', `More than ${String(this.#perMinute)} calls in a minute.`, {
      reason: 'TOO_MANY_REQUESTS', retryAfterSeconds: Math.ceil((window.until - now) / 1000), context: { calls_per_minute: this.#perMinute },
    });
  }
}
