import type { Milliseconds, RtpTimestamp } from '../../core/units.ts';

/** A device whose clock is further off counts from its start or was never set: good for synchronisation, not a wall clock. */
const MAX_CLOCK_ERROR_MS = 5 * 365 * 86_400_000;
/** Reports that disagree with arrival by more than this are wrong, not early. */
const MAX_SKEW_MS = 10_000;

/**
 * The latest RTCP sender report of one track: the device's wall clock for one place on the timeline (RFC 3550 §6.4.1).
 * A report may come before the first unit of its track; it is placed as soon as that is anchored.
 */
export class SenderReportClock {
  #ntp: Milliseconds | null = null;
  #isWallClock = false;
  #timestamp: RtpTimestamp = 0;
  #mediaMs: Milliseconds | null = null;

  /** `now`: the server's clock. `place`: timestamp → ms on the timeline, null while the track is not anchored. */
  report(ntpUnixMs: Milliseconds, timestamp: RtpTimestamp, now: Milliseconds, place: (timestamp: RtpTimestamp) => Milliseconds | null): void {
    if (!Number.isFinite(ntpUnixMs)) return;
    this.#ntp = ntpUnixMs;
    this.#isWallClock = Math.abs(ntpUnixMs - now) < MAX_CLOCK_ERROR_MS;
    this.#timestamp = timestamp;
    this.#mediaMs = place(timestamp);
  }

  /** The track has just been anchored: a report that came earlier is placed now. */
  anchored(place: (timestamp: RtpTimestamp) => Milliseconds | null): void {
    if (this.#ntp !== null) this.#mediaMs ??= place(this.#timestamp);
  }

  /** The track's clock jumped: what was reported is void. */
  clear(): void {
    this.#ntp = null;
    this.#mediaMs = null;
  }

  /** The track was moved on the timeline. */
  shift(ms: Milliseconds): void {
    if (this.#mediaMs !== null) this.#mediaMs += ms;
  }

  /** The device's wall clock at a place on the timeline, Unix ms; null while no report is known or the device has no wall clock. */
  captureAt(mediaMs: Milliseconds): Milliseconds | null {
    return this.#isWallClock ? this.at(mediaMs) : null;
  }

  /** The device's clock, whatever its origin; null while no report is known. */
  at(mediaMs: Milliseconds): Milliseconds | null {
    return this.#ntp === null || this.#mediaMs === null ? null : this.#ntp + (mediaMs - this.#mediaMs);
  }
}

/**
 * How far `audio` must move on the timeline to be in step with `video` by the device's clock, ms; null while one of the two has no
 * report or they are further apart than any buffer explains.
 */
export const audioSkew = (video: SenderReportClock, audio: SenderReportClock): Milliseconds | null => {
  const v = video.at(0);
  const a = audio.at(0);
  if (v === null || a === null) return null;
  return Math.abs(a - v) > MAX_SKEW_MS ? null : a - v;
};
