import { writeSdesCname, writeSenderReport } from '../../core/rtp/rtcp-writer.ts';
import { wrapRtx } from '../../core/rtp/rtx.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { SendTrack } from '../../transport/webrtc/port.ts';
import { RTP_HEADER_BYTES } from '../../core/rtp/packet.ts';
import type { PlayTrack } from './play-negotiation.ts';
import type { TrackEgress } from './track-egress.ts';

/** Retransmissions one viewer may cause: enough to repair any real loss, too few to turn NACKs into an amplifier. */
const MAX_RETRANSMISSIONS_PER_SECOND = 1_000;
const RETRANSMISSION_BURST = 500;

/** One track on its way to one viewer: payload type, counters, retransmissions. */
export class ViewerTrack {
  readonly kind: 'video' | 'audio';
  readonly codec: PlayTrack['codec'];
  readonly #sender: SendTrack;
  #packets = 0;
  #octets = 0;
  #retransmitted = 0;
  #refused = 0;
  #rtxSequence: number;
  #tokens = RETRANSMISSION_BURST;
  #tokensAt: Milliseconds = 0;
  /** The first packet it was sent: nothing older is given out on request. */
  #since: number | null = null;

  constructor(track: PlayTrack, sender: SendTrack, firstRtxSequence: number) {
    this.kind = track.kind;
    this.codec = track.codec;
    this.#sender = sender;
    this.#rtxSequence = firstRtxSequence;
  }

  get isOpen(): boolean {
    return this.#sender.isOpen;
  }

  get counters(): { readonly packets: number; readonly octets: number; readonly retransmitted: number; readonly refused: number } {
    return { packets: this.#packets, octets: this.#octets, retransmitted: this.#retransmitted, refused: this.#refused };
  }

  /** Sends shared packets: the payload type is written in place, the transport copies. `firstSequence`: unwrapped, of `packets[0]`. */
  send(packets: readonly Buffer[], firstSequence: number): void {
    this.#since ??= firstSequence;
    const { payloadType } = this.codec;
    for (const packet of packets) {
      packet[1] = ((packet[1] ?? 0) & 0x80) | payloadType;
      if (!this.#sender.send(packet)) continue; // like a loss: the viewer asks again
      this.#packets++;
      this.#octets += packet.length - RTP_HEADER_BYTES;
    }
  }

  /** Answers a NACK from the history, by RTX where negotiated. */
  retransmit(lost: readonly number[], egress: TrackEgress, now: Milliseconds): void {
    for (const sequenceNumber of lost) {
      const sequence = egress.history.unwrap(sequenceNumber);
      const packet = this.#since !== null && sequence >= this.#since ? egress.history.get(sequence) : undefined;
      if (!packet) continue;
      if (!this.#takeToken(now)) {
        this.#refused++;
        continue;
      }
      this.#sendAgain(packet, sequenceNumber, egress);
    }
  }

  /** Sends `from`…`end` (unwrapped, `end` not included) of the history again, up to about `maxBytes`; returns the first that it did not. */
  repeat(from: number, end: number, maxBytes: number, egress: TrackEgress): number {
    let sequence = Math.max(from, egress.history.first);
    for (let bytes = 0; sequence < end && bytes < maxBytes; sequence++) {
      const packet = egress.history.get(sequence);
      if (!packet) continue;
      bytes += packet.length;
      this.#sendAgain(packet, sequence & 0xffff, egress);
    }
    return sequence;
  }

  /** A sender report that ties the egress timeline to the server's wall clock, so that a browser keeps audio and video in step. */
  report(egress: TrackEgress, wall: Milliseconds, cname: string): void {
    const rtpTs = egress.timeline.at(wall);
    if (rtpTs === null || this.#packets === 0) return;
    const report = writeSenderReport({ ssrc: egress.ssrc, ntp: wall, rtpTs, packets: this.#packets, octets: this.#octets });
    this.#sender.send(Buffer.concat([report, writeSdesCname(egress.ssrc, cname)]));
  }

  /** By RTX where negotiated. */
  #sendAgain(packet: Buffer, originalSequenceNumber: number, egress: TrackEgress): void {
    this.#retransmitted++;
    const { payloadType, rtxPayloadType } = this.codec;
    if (rtxPayloadType === null) {
      packet[1] = ((packet[1] ?? 0) & 0x80) | payloadType;
      this.#sender.send(packet);
    } else {
      this.#sender.send(wrapRtx(packet, { payloadType: rtxPayloadType, ssrc: egress.rtxSsrc, sequenceNumber: this.#rtxSequence++, originalSequenceNumber }));
    }
  }

  #takeToken(now: Milliseconds): boolean {
    const refill = ((now - this.#tokensAt) * MAX_RETRANSMISSIONS_PER_SECOND) / 1000;
    this.#tokens = Math.min(RETRANSMISSION_BURST, this.#tokens + refill);
    this.#tokensAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
