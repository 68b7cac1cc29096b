import { LRUCache } from 'lru-cache';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';

interface Failures {
  count: number;
  since: Milliseconds;
}

export interface AttemptLimits {
  /** Failures of one user name from one address, and of one address in all, within the window. */
  readonly perUser: number;
  readonly perAddress: number;
  readonly windowMs: Milliseconds;
}

export const DEFAULT_ATTEMPTS: AttemptLimits = { perUser: 8, perAddress: 40, windowMs: 60_000 };

/** Slows the guessing of passwords: counts failures per address and user name, and per address. Bounded; the least recent is forgotten. */
export class LoginAttempts {
  readonly #clock: Clock;
  readonly #limits: AttemptLimits;
  readonly #failures = new LRUCache<string, Failures>({ max: 20_000 });

  constructor(clock: Clock, limits: AttemptLimits = DEFAULT_ATTEMPTS) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /**
   * Counts an attempt before its password is looked at, so that many at once cannot pass together. Throws RESOURCE_EXHAUSTED (429) with
   * the time to wait. `succeeded` takes it back.
   */
  begin(address: string, username: string): void {
    this.#take(`a ${address}`, this.#limits.perAddress);
    this.#take(`u ${address} ${username}`, this.#limits.perUser);
  }

  /** The password was right: nothing is held against this user at this address. */
  succeeded(address: string, username: string): void {
    this.#failures.delete(`u ${address} ${username}`);
    const all = this.#failures.get(`a ${address}`);
    if (all !== undefined) all.count = Math.max(0, all.count - 1);
  }

  #take(key: string, most: number): void {
    const now = this.#clock.monotonic();
    const entry = this.#failures.get(key);
    if (entry === undefined || now - entry.since >= this.#limits.windowMs) {
      this.#failures.set(key, { count: 1, since: now });
      return;
    }
    if (entry.count >= most) {
      const retryAfterSeconds = Math.ceil((entry.since + this.#limits.windowMs - now) / 1000);
      throw new MediaError('RESOURCE_EXHAUSTED', 'Too many failed log-ins.', { reason: 'TOO_MANY_LOGINS', retryAfterSeconds });
    }
    entry.count++;
  }
}
