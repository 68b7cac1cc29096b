import type { MediaTicks } from '../../core/units.ts';

/** H.264 allows no more pictures to wait for reordering (ISO/IEC 14496-10 A.3.1, max_dec_frame_buffering). */
const MAX_DEPTH = 16;
/** Distance assumed between the pictures before the first one, 1/30 s at 90 kHz; only its sign matters to a player. */
const ASSUMED_INTERVAL = 3_000;

/**
 * Decode times for a track whose pictures come in decode order with presentation times only, as RTP gives them.
 *
 * dts(n) is the (n − depth)-th smallest presentation time so far; the first `depth` are extrapolated backwards. They increase
 * strictly. A stream that reorders deeper than it declares is noticed by a picture due before one already decoded: the depth grows by one.
 */
export class DecodeTimes {
  readonly #waiting: MediaTicks[] = []; // ascending; at most depth + 1
  #depth = 0;
  #first: MediaTicks = 0;
  #warmUp = 0;
  #previous: MediaTicks = Number.NEGATIVE_INFINITY;

  /** Pictures held back now. */
  get depth(): number {
    return this.#depth;
  }

  /** What comes next does not continue (first picture, new parameters, jump of the camera's clock). Times still increase. */
  restart(depth: number): void {
    this.#depth = Math.min(MAX_DEPTH, Math.max(0, Math.trunc(depth) || 0));
    this.#warmUp = this.#depth;
    this.#waiting.length = 0;
  }

  /** Decode time of the picture with this presentation time. A caller raises the presentation time to it if it is less. */
  next(pts: MediaTicks): MediaTicks {
    if (pts <= this.#previous && this.#depth < MAX_DEPTH) this.#depth++;
    this.#insert(pts);
    let dts: MediaTicks;
    if (this.#waiting.length > this.#depth) {
      dts = this.#waiting.shift() ?? pts;
    } else {
      if (this.#waiting.length === 1) this.#first = pts;
      // Behind a jump pictures may be due before the first one, too.
      dts = Math.min(pts, this.#first - Math.max(0, this.#warmUp - this.#waiting.length + 1) * ASSUMED_INTERVAL);
    }
    if (dts <= this.#previous) dts = this.#previous + 1;
    this.#previous = dts;
    return dts;
  }

  #insert(pts: MediaTicks): void {
    let at = this.#waiting.length;
    while (at > 0 && (this.#waiting[at - 1] ?? 0) > pts) at--;
    this.#waiting.splice(at, 0, pts);
  }
}
