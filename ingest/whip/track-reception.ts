import { JitterBuffer } from '../../core/rtp/jitter-buffer.ts';
import type { JitterBufferSink, JitterBufferStats } from '../../core/rtp/jitter-buffer.ts';
import type { Depacketizer, DepacketizedUnit, RtpPacket } from '../../core/rtp/port.ts';
import type { ReportBlock, SenderReport } from '../../core/rtp/rtcp.ts';
import type { Milliseconds } from '../../core/units.ts';

export interface TrackReceptionOptions {
  readonly ssrc: number;
  readonly clockRate: number;
  /** `webrtc.jitter_buffer_ms`: how long a lost packet is waited for. */
  readonly delayMs: Milliseconds;
  readonly depacketizer: Depacketizer;
  readonly onUnit: (unit: DepacketizedUnit, arrivedAt: Milliseconds) => void;
  /** Packets were given up: what came before cannot be continued. */
  readonly onLoss: (packets: number) => void;
}

/** One RTP stream (SSRC): jitter buffer, depacketiser and the numbers of its receiver reports. */
export class TrackReception {
  readonly ssrc: number;
  readonly #options: TrackReceptionOptions;
  readonly #buffer: JitterBuffer;
  readonly #units: DepacketizedUnit[] = [];
  readonly #sink: JitterBufferSink;
  #now: Milliseconds = 0;
  #lastSr: { readonly middle: number; readonly at: Milliseconds } | null = null;
  #reported = { received: 0, lost: 0 };

  constructor(options: TrackReceptionOptions) {
    this.ssrc = options.ssrc;
    this.#options = options;
    this.#buffer = new JitterBuffer({ delayMs: options.delayMs, clockRate: options.clockRate });
    this.#sink = {
      packet: (packet) => { this.#depacketize(packet); },
      lost: (count) => {
        options.depacketizer.lost();
        options.onLoss(count);
      },
    };
  }

  get stats(): JitterBufferStats {
    return this.#buffer.stats;
  }

  get droppedUnits(): number {
    return this.#options.depacketizer.droppedUnits;
  }

  /** Takes a packet; false when it must not be acknowledged (see `JitterBuffer.push`). */
  receive(packet: RtpPacket, now: Milliseconds): boolean {
    const arrived = this.#buffer.push(packet, now);
    this.flush(now);
    return arrived;
  }

  /** Hands on what is due; gives up what was waited for too long. */
  flush(now: Milliseconds): void {
    this.#now = now;
    this.#buffer.pop(now, this.#sink);
  }

  /** Sequence numbers to ask for now. */
  missing(now: Milliseconds): readonly number[] {
    return this.#buffer.requests(now);
  }

  /** When `flush` or `missing` next has work; null when nothing is missing. */
  nextDeadline(): Milliseconds | null {
    return this.#buffer.nextDeadline();
  }

  senderReport(report: SenderReport, now: Milliseconds): void {
    this.#lastSr = { middle: report.ntpMiddle, at: now };
  }

  /** A report block (RFC 3550 §6.4.1). Lost is what retransmission did not bring back. */
  report(now: Milliseconds): ReportBlock {
    const { received, lost, jitterMs } = this.#buffer.stats;
    const lostNow = lost - this.#reported.lost;
    const expectedNow = received - this.#reported.received + lostNow;
    this.#reported = { received, lost };
    return {
      ssrc: this.ssrc,
      fractionLost: expectedNow > 0 ? Math.min(255, Math.floor((lostNow * 256) / expectedNow)) : 0,
      cumulativeLost: lost,
      highestSequence: this.#buffer.highestSequence,
      jitter: Math.round((jitterMs * this.#options.clockRate) / 1000),
      lastSr: this.#lastSr?.middle ?? 0,
      delaySinceLastSr: this.#lastSr ? Math.round((now - this.#lastSr.at) * 65.536) : 0,
    };
  }

  #depacketize(packet: RtpPacket): void {
    this.#options.depacketizer.push(packet, this.#units);
    if (this.#units.length === 0) return;
    for (const unit of this.#units) this.#options.onUnit(unit, this.#now);
    this.#units.length = 0;
  }
}
