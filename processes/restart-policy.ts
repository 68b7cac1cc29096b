import type { Milliseconds } from '../core/units.ts';

export interface RestartPolicy {
  readonly firstDelayMs: Milliseconds;
  readonly longestDelayMs: Milliseconds;
  /** Alive for so long, a process begins afresh with the first delay. */
  readonly freshAfterMs: Milliseconds;
}

export const RESTART_POLICY: RestartPolicy = { firstDelayMs: 200, longestDelayMs: 15_000, freshAfterMs: 60_000 };

/** How long to wait before the next start: twice as long each time it died young. */
export class RestartBackoff {
  readonly #policy: RestartPolicy;
  #failures = 0;

  constructor(policy: RestartPolicy) {
    this.#policy = policy;
  }

  /** After a process that lived for `aliveMs`. */
  next(aliveMs: Milliseconds): Milliseconds {
    if (aliveMs >= this.#policy.freshAfterMs) this.#failures = 0;
    const delay = Math.min(this.#policy.longestDelayMs, this.#policy.firstDelayMs * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 30);
    return delay;
  }
}
