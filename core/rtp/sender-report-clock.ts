import type { Milliseconds, RtpTimestamp } from '../units.ts';
import type { SenderReport } from './rtcp.ts';

/**
 * Maps RTP timestamps to the sender's own wall clock by its latest sender report (RFC 3550 §6.4.1).
 * A sender report with NTP time 0 means "no wall clock" and is ignored.
 */
export class SenderReportClock {
  readonly #clockRate: number;
  #latest: { readonly ntp: Milliseconds; readonly rtpTs: RtpTimestamp } | null = null;

  constructor(clockRate: number) {
    this.#clockRate = clockRate;
  }

  update(report: Pick<SenderReport, 'ntp' | 'ntpMiddle' | 'rtpTs'>): void {
    // Some cameras count NTP from their start: anything before 1990 is a stopwatch, not a clock.
    if (report.ntpMiddle === 0 || report.ntp < 631_152_000_000) return;
    this.#latest = { ntp: report.ntp, rtpTs: report.rtpTs };
  }

  /** Unix ms on the device's clock at `rtpTs`; null before the first usable report. */
  toUnix(rtpTs: RtpTimestamp): Milliseconds | null {
    if (!this.#latest) return null;
    return this.#latest.ntp + (((rtpTs - this.#latest.rtpTs) | 0) * 1000) / this.#clockRate;
  }
}
