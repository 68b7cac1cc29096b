import { parseRtpPacket } from '../../core/rtp/packet.ts';
import type { Depacketizer, DepacketizedUnit } from '../../core/rtp/port.ts';
import { parseRtcp } from '../../core/rtp/rtcp.ts';
import type { ReportBlock } from '../../core/rtp/rtcp.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { StreamTimeline } from '../timeline/stream-timeline.ts';
import { Reception } from './reception.ts';

export interface TrackReceiverOptions {
  readonly kind: 'video' | 'audio';
  readonly payloadType: number;
  readonly clockRate: number;
  readonly depacketizer: Depacketizer;
}

/** RTP and RTCP of one track, as interleaved frames bring them: parsed, depacketised, put on the timeline. */
export class TrackReceiver {
  readonly kind: 'video' | 'audio';
  readonly reception: Reception;
  readonly #options: TrackReceiverOptions;
  readonly #units: DepacketizedUnit[] = [];
  #malformed = 0;

  constructor(options: TrackReceiverOptions) {
    this.kind = options.kind;
    this.#options = options;
    this.reception = new Reception(options.clockRate);
  }

  /** Packets that were not RTP of this track's payload type, and units given up because of gaps. */
  get refused(): { readonly malformed: number; readonly droppedUnits: number } {
    return { malformed: this.#malformed, droppedUnits: this.#options.depacketizer.droppedUnits };
  }

  /** The packet from `start` to `end` of `bytes`. */
  rtp(bytes: Buffer, start: number, end: number, arrivedAt: Milliseconds, timeline: StreamTimeline): void {
    const packet = parseRtpPacket(bytes, start, end);
    if (packet?.payloadType !== this.#options.payloadType) {
      this.#malformed++;
      return;
    }
    const { depacketizer } = this.#options;
    if (this.reception.receive(packet, arrivedAt)) depacketizer.lost();
    depacketizer.push(packet, this.#units);
    if (this.#units.length === 0) return;
    for (const unit of this.#units) {
      if (this.kind === 'video') timeline.video(unit, arrivedAt);
      else timeline.audio(unit, arrivedAt);
    }
    this.#units.length = 0;
  }

  rtcp(bytes: Buffer, arrivedAt: Milliseconds, timeline: StreamTimeline): void {
    for (const packet of parseRtcp(bytes)) {
      if (packet.type !== 'sr') continue;
      this.reception.senderReport(packet.ntpMiddle, arrivedAt);
      if (packet.ntpMiddle !== 0) timeline.senderReport(this.kind, packet.ntp, packet.rtpTs); // all zeroes: "no clock" (RFC 3550 §6.4.1)
    }
  }

  report(now: Milliseconds): ReportBlock | null {
    return this.reception.report(now);
  }
}
