import type { MediaTicks, Milliseconds, RtpTimestamp } from '../../core/units.ts';

/** A camera whose RTP clock departs from real time by more than this between two units has jumped: a new anchor. */
const JUMP_MS = 10_000;
/** The timeline may run ahead of arrival so far (a file pushed faster than real time); beyond it time stands still. */
const MAX_AHEAD_MS = 600_000;

export interface TrackClockOptions {
  readonly clockRate: number;
  /** A step back of the RTP timestamp up to this is reordering (B-frames) or a glitch; more is a jump. */
  readonly maxStepBackMs: Milliseconds;
}

/**
 * Places the RTP timestamps of one track on the timeline of its epoch: unwraps them (RFC 3550 §5.1: 32 bits, any start) and
 * anchors the first one at its time of arrival.
 *
 * The rule for jumps: when the distance between two units differs from the time between their arrivals by more than 10 s, or the
 * timestamp falls back behind the latest by more than `maxStepBackMs`, the camera restarted its clock. The unit is then anchored anew: it follows the
 * latest one at the distance of their arrivals. The timeline neither steps back nor leaps.
 */
export class TrackClock {
  readonly #rate: number;
  readonly #maxStepBack: number;
  readonly #jump: number;
  #lastTimestamp: RtpTimestamp | null = null;
  #lastPts: MediaTicks = 0;
  #maxPts: MediaTicks = 0;
  #lastArrival: Milliseconds = 0;
  #jumps = 0;

  constructor(options: TrackClockOptions) {
    this.#rate = options.clockRate;
    this.#maxStepBack = Math.round((options.maxStepBackMs * options.clockRate) / 1000);
    this.#jump = (JUMP_MS * options.clockRate) / 1000;
  }

  get anchored(): boolean {
    return this.#lastTimestamp !== null;
  }

  /** How often the camera's clock jumped; a change tells the caller that what it knew of this track's time is void. */
  get jumps(): number {
    return this.#jumps;
  }

  /** The place of the next unit in decode order; `arrival` in ms since the epoch. May be negative, by `maxStepBackMs` or by what was shifted. */
  locate(timestamp: RtpTimestamp, arrival: Milliseconds): MediaTicks {
    if (this.#lastTimestamp === null) {
      this.#lastPts = Math.max(0, Math.round((arrival * this.#rate) / 1000));
      this.#maxPts = this.#lastPts;
    } else {
      const elapsed = (Math.max(0, arrival - this.#lastArrival) * this.#rate) / 1000;
      const delta = (timestamp - this.#lastTimestamp) | 0;
      const pts = this.#lastPts + delta;
      const ahead = (pts * 1000) / this.#rate - arrival;
      if (Math.abs(delta - elapsed) > this.#jump || pts < this.#maxPts - this.#maxStepBack || ahead > MAX_AHEAD_MS) {
        this.#jumps++;
        this.#lastPts = this.#maxPts + Math.max(1, Math.round(elapsed));
      } else {
        this.#lastPts = pts;
      }
      if (this.#lastPts > this.#maxPts) this.#maxPts = this.#lastPts;
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
    return this.#lastPts;
  }
}
