import type { MediaTicks, Milliseconds, RtpTimestamp } from '../../core/units.ts';

/** A picture this much further ahead of its arrival than any before it did not travel faster: the camera's clock was set forward. */
const LEAP_MS = 1_000;
/** A step back up to this is a glitch; more is a clock that was set back. */
const STEP_BACK_MS = 200;
/** Pictures of a track with B-frames may come so much out of order for each picture that is held back (four pictures a second). */
const REORDER_MS = 250;
/** A clock that stands still for longer than any connection stalls (ten seconds without a picture end it) did so in the camera. */
const FROZEN_MS = 12_000;
/** The timeline may run ahead of arrival so far (a file pushed faster than real time); beyond it time stands still. */
const MAX_AHEAD_MS = 600_000;
/** Clocks of cameras and hosts differ by less than this: so fast is forgotten how far ahead of arrival the timeline once was. */
const DRIFT = 500e-6;

export interface TrackClockOptions {
  readonly clockRate: number;
}

/**
 * Places the RTP timestamps of one track on the timeline of its epoch: unwraps them (RFC 3550 §5.1: 32 bits, any start) and
 * anchors the first one at its time of arrival.
 *
 * A camera whose clock is set (by NTP, or because it restarted) jumps: nobody waited that long. The unit is then anchored anew: it follows the
 * latest one at the distance of their arrivals, so the timeline neither steps back nor leaps. It is a jump when
 *
 * - the timestamp leads by over a second more than the time since the last arrival **and** lies over a second further ahead of its
 *   arrival than any timestamp before. A stall, a pause or a sender that drops what it could not send never gets ahead of arrival;
 *   a burst at the start does so in steps of one picture;
 * - the timestamp falls back behind the latest by over 200 ms, more where pictures are reordered;
 * - the timestamp goes on as if nothing was after 12 s of silence.
 */
export class TrackClock {
  /** Pictures of this track that wait for reordering (H.264 `max_num_reorder_frames`). */
  reorderDepth = 0;
  readonly #rate: number;
  #lastTimestamp: RtpTimestamp | null = null;
  #lastPts: MediaTicks = 0;
  #maxPts: MediaTicks = 0;
  #lastArrival: Milliseconds = 0;
  /** How far ahead of its arrival a unit ever was. */
  #mostAhead: Milliseconds = 0;
  #jumps = 0;

  constructor(options: TrackClockOptions) {
    this.#rate = options.clockRate;
  }

  get anchored(): boolean {
    return this.#lastTimestamp !== null;
  }

  /** How often the camera's clock jumped; a change tells the caller that what it knew of this track's time is void. */
  get jumps(): number {
    return this.#jumps;
  }

  /** The place of the next unit in decode order; `arrival` in ms since the epoch. May be negative by what was shifted, or by a little for reordered pictures. */
  locate(timestamp: RtpTimestamp, arrival: Milliseconds): MediaTicks {
    if (this.#lastTimestamp === null) {
      this.#lastPts = Math.max(0, Math.round((arrival * this.#rate) / 1000));
      this.#maxPts = this.#lastPts;
      this.#mostAhead = this.#toMs(this.#lastPts) - arrival;
    } else {
      const waited = Math.max(0, arrival - this.#lastArrival);
      const delta = (timestamp - this.#lastTimestamp) | 0;
      this.#mostAhead -= waited * DRIFT;
      if (this.#isJump(this.#lastPts + delta, this.#toMs(delta) - waited, arrival)) {
        this.#jumps++;
        this.#lastPts = this.#maxPts + Math.max(1, Math.round((waited * this.#rate) / 1000));
      } else {
        this.#lastPts += delta;
      }
      if (this.#lastPts > this.#maxPts) this.#maxPts = this.#lastPts;
      this.#mostAhead = Math.max(this.#mostAhead, this.#toMs(this.#lastPts) - arrival);
    }
    this.#lastTimestamp = timestamp >>> 0;
    this.#lastArrival = Math.max(this.#lastArrival, arrival);
    return this.#lastPts;
  }

  /** Where any timestamp near the latest one lies, or null before the first unit. Changes nothing. */
  peek(timestamp: RtpTimestamp): MediaTicks | null {
    return this.#lastTimestamp === null ? null : this.#lastPts + ((timestamp - this.#lastTimestamp) | 0);
  }

  /** Moves everything that follows by `ticks` (a correction of this track against another). Returns the place of the latest unit, moved. */
  shift(ticks: MediaTicks): MediaTicks {
    this.#lastPts += ticks;
    this.#maxPts += ticks;
    this.#mostAhead += this.#toMs(ticks);
    return this.#lastPts;
  }

  /** `lead`: how much more media time than time passed since the last unit. */
  #isJump(pts: MediaTicks, lead: Milliseconds, arrival: Milliseconds): boolean {
    const reordering = this.reorderDepth * REORDER_MS;
    const ahead = this.#toMs(pts) - arrival;
    const leap = LEAP_MS + reordering;
    return (lead > leap && ahead > this.#mostAhead + leap) || this.#toMs(this.#maxPts - pts) > STEP_BACK_MS + reordering || lead < -FROZEN_MS || ahead > MAX_AHEAD_MS;
  }

  #toMs(ticks: MediaTicks): Milliseconds {
    return (ticks * 1000) / this.#rate;
  }
}
