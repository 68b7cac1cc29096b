import type { Milliseconds } from '../core/units.ts';

/** Of each answer, so much counts. */
const WEIGHT = 0.2;
const HALF_LIFE_MS: Milliseconds = 10_000;

/**
 * How long a worker takes to answer: a moving mean, forgotten by half every 10 s without an answer, so that a worker that was slow
 * once, and therefore is asked no more, is tried again (as peak EWMA balancers do, https://linkerd.io/2016/03/16/beyond-round-robin-load-balancing-for-latency/).
 */
export class AnswerTime {
  #mean: Milliseconds = 0;
  #notedAt: Milliseconds = -Infinity;

  note(took: Milliseconds, now: Milliseconds): void {
    const before = this.expected(now);
    this.#mean = before === 0 ? took : before + (took - before) * WEIGHT;
    this.#notedAt = now;
  }

  /** 0: not known. */
  expected(now: Milliseconds): Milliseconds {
    return this.#mean * 2 ** -((now - this.#notedAt) / HALF_LIFE_MS);
  }
}
