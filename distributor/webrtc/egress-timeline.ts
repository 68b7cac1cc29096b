import type { FrameRef } from '../../core/frame-ref.ts';
import type { MediaTicks, Milliseconds, RtpTimestamp } from '../../core/units.ts';
import { millisecondsToTicks } from '../../core/units.ts';

/** What the timeline needs of an access unit. */
export interface TimedUnit {
  readonly frame: Pick<FrameRef, 'epoch' | 'rtpTs'>;
  readonly pts: MediaTicks;
  readonly arrivedAt: Milliseconds;
  readonly wall: Milliseconds;
}

/** More than this apart from what the unit's own PTS says, and the camera's clock jumped. */
const MAX_STEP_SECONDS = 1;

/**
 * The RTP time all viewers of a track see (D-4): the camera's timestamp plus one offset per epoch, 0 in the first. At a new epoch the
 * offset makes the first picture follow the last one sent by the wall time that passed between them: a jump of media time
 * without wall time freezes a browser for seconds. A camera whose clock jumps within an epoch is put right the same way; a step back of any size
 * is, because to a browser it is a picture too late to show. Pure.
 */
export class EgressTimeline {
  readonly #clockRate: number;
  #epoch: number | null = null;
  #offset = 0;
  #last: { readonly timestamp: RtpTimestamp; readonly pts: MediaTicks; readonly arrivedAt: Milliseconds; readonly wall: Milliseconds } | null = null;

  constructor(clockRate: number) {
    this.#clockRate = clockRate;
  }

  /** Epoch of the latest unit, null before the first. */
  get epoch(): number | null {
    return this.#epoch;
  }

  /** Egress timestamp = camera timestamp + offset, modulo 2^32. */
  get offset(): number {
    return this.#offset;
  }

  /** The egress timestamp of `unit`. Units come in order. */
  next(unit: TimedUnit): RtpTimestamp {
    const { rtpTs, epoch } = unit.frame;
    const last = this.#last;
    if (last && epoch !== this.#epoch) {
      const elapsed = millisecondsToTicks(unit.arrivedAt - last.arrivedAt, this.#clockRate);
      this.#offset = (last.timestamp + Math.max(1, elapsed) - rtpTs) >>> 0;
    } else if (last) {
      const expected = last.timestamp + (unit.pts - last.pts);
      const jump = (rtpTs + this.#offset - expected) | 0;
      const back = ((rtpTs + this.#offset - last.timestamp) | 0) < 0;
      if (back || Math.abs(jump) > MAX_STEP_SECONDS * this.#clockRate) this.#offset = (expected - rtpTs) >>> 0;
    }
    this.#epoch = epoch;
    const timestamp = (rtpTs + this.#offset) >>> 0;
    this.#last = { timestamp, pts: unit.pts, arrivedAt: unit.arrivedAt, wall: unit.wall };
    return timestamp;
  }

  /** The egress timestamp that belongs to the wall time `now`, for sender reports; null before the first unit. */
  at(now: Milliseconds): RtpTimestamp | null {
    if (!this.#last) return null;
    return (this.#last.timestamp + millisecondsToTicks(now - this.#last.wall, this.#clockRate)) >>> 0;
  }
}
