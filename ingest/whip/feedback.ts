/** RTCP towards a publisher: what makes a browser ramp to its target (ING-8). */
import { readExtension } from '../../core/rtp/packet.ts';
import type { RtpPacket } from '../../core/rtp/port.ts';
import type { ReportBlock } from '../../core/rtp/rtcp.ts';
import { writeFir, writeNack, writePli, writeReceiverReport, writeRemb, writeSdesCname } from '../../core/rtp/rtcp-writer.ts';
import { TransportFeedbackBuilder } from '../../core/rtp/transport-feedback-writer.ts';
import type { Milliseconds } from '../../core/units.ts';

export interface FeedbackOptions {
  /** Our SSRC. */
  readonly ssrc: number;
  readonly cname: string;
  /** False when the transport is not open (yet). */
  readonly send: (packet: Buffer) => boolean;
}

/** Writes and counts what is sent back. */
export class Feedback {
  readonly #options: FeedbackOptions;
  readonly #cname: Buffer;
  #arrivals: TransportFeedbackBuilder | null = null;
  #firSequence = 0;
  nacksSent = 0;
  plisSent = 0;

  constructor(options: FeedbackOptions) {
    this.#options = options;
    this.#cname = writeSdesCname(options.ssrc, options.cname);
  }

  /** A packet came: acknowledge it in the next transport feedback. `extensionId`: null when the track has none. */
  arrived(packet: RtpPacket, extensionId: number | null, now: Milliseconds): void {
    if (extensionId === null) return;
    const sequence = readExtension(packet, extensionId);
    if (sequence?.length !== 2) return;
    this.#arrivals ??= new TransportFeedbackBuilder(this.#options.ssrc, packet.ssrc);
    this.#arrivals.record(sequence.readUInt16BE(0), Math.round(now * 1000));
  }

  /** Tells the arrivals since the last call. */
  sendArrivals(): void {
    if (!this.#arrivals || this.#arrivals.pending === 0) return;
    for (const packet of this.#arrivals.build()) this.#options.send(packet);
  }

  askAgain(media: number, lost: readonly number[]): void {
    if (this.#options.send(writeNack(this.#options.ssrc, media, lost))) this.nacksSent++;
  }

  askForKeyframe(media: number, how: 'pli' | 'fir'): void {
    const packet = how === 'pli' ? writePli(this.#options.ssrc, media) : writeFir(this.#options.ssrc, media, this.#firSequence++);
    if (this.#options.send(packet)) this.plisSent++;
  }

  report(blocks: readonly ReportBlock[]): void {
    this.#options.send(Buffer.concat([writeReceiverReport(this.#options.ssrc, blocks), this.#cname]));
  }

  /** The bits per second that the publisher may send. */
  allowBitrate(media: number, bitrateBps: number): void {
    this.#options.send(writeRemb(this.#options.ssrc, bitrateBps, [media]));
  }
}
