import type { Milliseconds, RtpTimestamp } from '../units.ts';

/** Interarrival jitter, RFC 3550 §6.4.1 and A.8. */
export class InterarrivalJitter {
  readonly #clockRate: number;
  #previous: { timestamp: RtpTimestamp; arrival: Milliseconds } | null = null;
  #ticks = 0;

  constructor(clockRate: number) {
    this.#clockRate = clockRate;
  }

  update(timestamp: RtpTimestamp, arrival: Milliseconds): void {
    if (this.#previous) {
      const transit = ((arrival - this.#previous.arrival) * this.#clockRate) / 1000 - ((timestamp - this.#previous.timestamp) | 0);
      this.#ticks += (Math.abs(transit) - this.#ticks) / 16;
      this.#previous.timestamp = timestamp;
      this.#previous.arrival = arrival;
    } else this.#previous = { timestamp, arrival };
  }

  /** In ticks of the clock, as report blocks want it. */
  get ticks(): number {
    return Math.round(this.#ticks);
  }

  get milliseconds(): Milliseconds {
    return (this.#ticks * 1000) / this.#clockRate;
  }
}
