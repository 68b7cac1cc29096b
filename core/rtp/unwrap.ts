/** Wrapping counters made endless. Both tolerate reordering: a value a little behind the newest stays behind it. */
import type { MediaTicks, RtpTimestamp } from '../units.ts';

/** 32-bit RTP timestamps → ticks that never wrap. The first value comes out as it went in. */
export class TimestampUnwrapper {
  #last: number | null = null;

  unwrap(timestamp: RtpTimestamp): MediaTicks {
    // `| 0` reads the difference as a signed 32-bit number: the shorter way round the circle.
    this.#last = this.#last === null ? timestamp : this.#last + ((timestamp - this.#last) | 0);
    return this.#last;
  }
}

/** 16-bit sequence numbers → numbers that never wrap. The first value comes out as it went in. */
export class SequenceUnwrapper {
  #newest: number | null = null;

  unwrap(sequenceNumber: number): number {
    if (this.#newest === null) {
      this.#newest = sequenceNumber;
      return sequenceNumber;
    }
    const value = this.#newest + sequenceDelta(sequenceNumber, this.#newest);
    if (value > this.#newest) this.#newest = value;
    return value;
  }
}

/** `a − b` modulo 2^16 as a signed number, −32768..32767. */
export const sequenceDelta = (a: number, b: number): number => ((a - b) << 16) >> 16;
