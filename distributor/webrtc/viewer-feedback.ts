import { ntpMiddle } from '../../core/rtp/ntp.ts';
import { parseRtcp } from '../../core/rtp/rtcp.ts';
import type { ReportBlock } from '../../core/rtp/rtcp.ts';
import type { Milliseconds } from '../../core/units.ts';

/** What a viewer's RTCP asks of us. */
export interface FeedbackActions {
  retransmit(ssrc: number, lost: readonly number[]): void;
  requestKeyframe(): void;
}

/** Reads a viewer's RTCP. Pure: the caller brings the times. */
export class ViewerFeedback {
  readonly #actions: FeedbackActions;
  readonly #videoSsrc: () => number;
  #lastRtcpAt: Milliseconds | null = null;
  #rttMs: Milliseconds | null = null;
  #fractionLost = 0;
  #lastFir: number | null = null;
  #nacks = 0;
  #plis = 0;

  constructor(videoSsrc: () => number, actions: FeedbackActions) {
    this.#videoSsrc = videoSsrc;
    this.#actions = actions;
  }

  /** `Clock.monotonic()` of the latest RTCP, null before the first. */
  get lastRtcpAt(): Milliseconds | null {
    return this.#lastRtcpAt;
  }

  get stats(): { readonly rttMs: Milliseconds | null; readonly lossFraction: number; readonly nacks: number; readonly plis: number } {
    return { rttMs: this.#rttMs, lossFraction: this.#fractionLost / 256, nacks: this.#nacks, plis: this.#plis };
  }

  /** `now` monotonic, `wall` Unix ms. */
  receive(bytes: Buffer, now: Milliseconds, wall: Milliseconds): void {
    for (const packet of parseRtcp(bytes)) {
      this.#lastRtcpAt = now;
      switch (packet.type) {
        case 'nack':
          this.#nacks += packet.lost.length;
          this.#actions.retransmit(packet.media, packet.lost);
          break;
        case 'pli':
          if (packet.media === this.#videoSsrc()) this.#keyframe();
          break;
        case 'fir':
          this.#fir(packet.entries);
          break;
        case 'rr':
        case 'sr':
          for (const report of packet.reports) if (report.ssrc === this.#videoSsrc()) this.#report(report, wall);
          break;
        default: // SDES, REMB, transport-wide feedback: nothing to do, one quality is sent to all. BYE: the transport closes, too
      }
    }
  }

  /** A repeated FIR carries the same number and is one request (RFC 5104 §4.3.1.2). */
  #fir(entries: readonly { readonly ssrc: number; readonly sequence: number }[]): void {
    for (const entry of entries) {
      if (entry.ssrc !== this.#videoSsrc() || entry.sequence === this.#lastFir) continue;
      this.#lastFir = entry.sequence;
      this.#keyframe();
    }
  }

  #keyframe(): void {
    this.#plis++;
    this.#actions.requestKeyframe();
  }

  /** RFC 3550 §6.4.1: round trip = now − LSR − DLSR, in 1/65536 s. */
  #report(report: ReportBlock, wall: Milliseconds): void {
    this.#fractionLost = report.fractionLost;
    if (report.lastSr === 0) return;
    const rtt = (ntpMiddle(wall) - report.lastSr - report.delaySinceLastSr) >>> 0;
    if (rtt < 60 << 16) this.#rttMs = (rtt * 1000) / 65_536; // more than a minute: a clock was set
  }
}
