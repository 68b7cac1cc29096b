import type { Milliseconds } from '../../core/units.ts';

/** Clocks of cameras and hosts differ by less than this; faster corrections would distort recorded time. */
const SLEW = 500e-6;
/**
 * Until first met, an estimate that lies in the future (a publisher that begins with a burst, as `ffmpeg -re` does with its first
 * half second) is corrected faster: 2 % bends a 200 ms part by 4 ms, well below a picture.
 */
const ACQUISITION_SLEW = 0.02;
const ACQUISITION_MS = 60_000;
const WINDOW_MS = 2_000;
/** A host clock set forward by more than this is followed at once. */
const STEP_MS = 5_000;

/**
 * Server wall time of a place on the timeline (D-8): arrival, smoothed by the RTP clock.
 *
 * The unit that travelled fastest tells the least delay; the smallest `arrival − media time` of the last 2–4 s is followed, at most
 * 500 ppm fast, so that network jitter does not show and the drift of the camera's clock is taken out. A unit that comes late, be it by the
 * ten seconds of a TCP connection that stalled, is late: it says nothing of the host's clock.
 *
 * When the host's clock is set, which shows in its distance from the monotonic clock: forward by more than 5 s, the mapping follows at the next
 * random access unit (a gap, nothing overlaps); forward by less, or back by any amount, it only slews: within an epoch wall time
 * never steps back. A new epoch begins with the clock as it is.
 */
export class WallMapping {
  /** Unix ms of media time 0. */
  #base: number | null = null;
  /** The host's clock less the monotonic one, at the latest unit. */
  #hostOffset = 0;
  /** How far the host's clock was set forward since the last random access unit. */
  #pendingStep = 0;
  #windowStart = 0;
  #windowMin = Number.POSITIVE_INFINITY;
  #previousMin = Number.POSITIVE_INFINITY;
  #firstAt = 0;
  #lastAt = 0;
  #acquiring = true;

  /**
   * One unit's evidence: `mediaMs` on the timeline, its arrival on the monotonic clock, and what the host's wall clock now shows more than
   * the monotonic one. `mayStep`: the unit is one where a gap in wall time is harmless.
   */
  observe(mediaMs: Milliseconds, arrivedAt: Milliseconds, hostOffset: Milliseconds, mayStep: boolean): void {
    const delay = arrivedAt - mediaMs;
    if (this.#base === null) {
      this.#base = delay + hostOffset;
      this.#hostOffset = hostOffset;
      this.#windowStart = this.#firstAt = this.#lastAt = arrivedAt;
      this.#windowMin = delay;
      return;
    }
    const set = hostOffset - this.#hostOffset;
    this.#hostOffset = hostOffset;
    if (set > STEP_MS) this.#pendingStep += set;

    if (arrivedAt - this.#windowStart > WINDOW_MS) {
      this.#previousMin = this.#windowMin;
      this.#windowMin = delay;
      this.#windowStart = arrivedAt;
    } else if (delay < this.#windowMin) this.#windowMin = delay;

    let error = Math.min(this.#windowMin, this.#previousMin) + hostOffset - this.#base;
    if (mayStep && this.#pendingStep > 0) {
      const step = Math.max(0, Math.min(this.#pendingStep, error)); // less if the clock was set back again meanwhile
      this.#base += step;
      error -= step;
      this.#pendingStep = 0;
    }
    if (this.#acquiring && (arrivedAt - this.#firstAt > ACQUISITION_MS || (error > -1 && arrivedAt - this.#firstAt > WINDOW_MS))) this.#acquiring = false;
    const elapsed = Math.min(1_000, Math.max(0, arrivedAt - this.#lastAt));
    const down = elapsed * (this.#acquiring ? ACQUISITION_SLEW : SLEW);
    this.#base += Math.max(-down, Math.min(elapsed * SLEW, error));
    this.#lastAt = Math.max(this.#lastAt, arrivedAt);
  }

  /** Unix ms. Before the first observation: NaN, which callers avoid by observing first. */
  at(mediaMs: Milliseconds): Milliseconds {
    return (this.#base ?? Number.NaN) + mediaMs;
  }
}
