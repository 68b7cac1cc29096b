import type { MediaTicks, Milliseconds } from '../core/units.ts';

/** Where zero lies before the session's start, so that reordering never makes a decode time negative. */
const LEAD_MS = 1_000;

/**
 * The one timeline of a session, on which every publisher who returns is placed by the server's clock: it counts from `sessionStart` − 1 s.
 * An epoch that would begin before what is already written ends is shifted as a whole, so its audio and video stay together. Pure.
 */
export class SessionTimeline {
  readonly #sessionStart: Milliseconds;
  #zero: Milliseconds = 0;
  #end: Milliseconds = 0;

  constructor(sessionStart: Milliseconds) {
    this.#sessionStart = sessionStart;
  }

  /** Places a new epoch. `firstDts`: decode time of its first unit, milliseconds since the epoch (a little negative with B-frames). */
  beginEpoch(epoch: number, firstDts: Milliseconds): void {
    const zero = epoch - this.#sessionStart + LEAD_MS;
    // Every PTS is ≥ 0 and audio is not reordered, so nothing of this epoch lies before `zero` but what B-frames push there.
    const earliest = zero + Math.min(0, firstDts);
    this.#zero = earliest >= this.#end ? zero : zero + Math.ceil(this.#end - earliest);
  }

  /** Ticks since the epoch as ticks on the session's timeline. */
  place(ticks: MediaTicks, clockRate: number): MediaTicks {
    return ticks + Math.round((this.#zero * clockRate) / 1_000);
  }

  /** Something up to `end` (milliseconds on the timeline) is written. */
  reached(end: Milliseconds): void {
    if (end > this.#end) this.#end = end;
  }
}
