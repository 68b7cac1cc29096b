/** Sequence numbers made endless. Timestamps: `ingest/timeline/track-clock.ts`, which also tells a jump from a wrap. */

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
