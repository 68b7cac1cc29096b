import { readExtension } from '../../core/rtp/packet.ts';
import type { RtpPacket } from '../../core/rtp/port.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { AcceptedVideo } from './publish-negotiation.ts';

/** A source this long silent gives way to another with the same payload type: the client replaced its track. */
const SILENT_MS = 500;

/**
 * Which SSRC is the video. Browsers send the simulcast layers (and sometimes a stray one beside the accepted) with the same payload type;
 * only the accepted layer's packets name its rid, and only at first (RFC 8852).
 */
export class VideoSources {
  readonly #layer: AcceptedVideo['layer'];
  #ssrc: number | null = null;
  #lastAt: Milliseconds = 0;

  constructor(layer: AcceptedVideo['layer']) {
    this.#layer = layer;
  }

  /** The SSRC taken now; null before the first packet. */
  get ssrc(): number | null {
    return this.#ssrc;
  }

  /** Whether a media packet is of the video taken; `ssrc` changes to its source when that is new. */
  accepts(packet: RtpPacket, now: Milliseconds): boolean {
    if (packet.ssrc !== this.#ssrc && !this.#mayReplace(packet, now)) return false;
    this.#ssrc = packet.ssrc;
    this.#lastAt = now;
    return true;
  }

  /** Whether a retransmission is of the video taken. */
  acceptsRepair(packet: RtpPacket): boolean {
    if (this.#ssrc === null) return false;
    if (!this.#layer || this.#layer.repairedRidId === null) return true;
    const rid = readExtension(packet, this.#layer.repairedRidId);
    return rid === null || rid.toString('latin1') === this.#layer.rid;
  }

  #mayReplace(packet: RtpPacket, now: Milliseconds): boolean {
    if (this.#layer) return readExtension(packet, this.#layer.ridId)?.toString('latin1') === this.#layer.rid;
    return this.#ssrc === null || now - this.#lastAt > SILENT_MS;
  }
}
