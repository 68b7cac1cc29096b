/** Opus over RTP, RFC 7587: one packet, one unit. */
import { opusPacketSamples } from '../codec/opus/opus.ts';
import type { DepacketizedUnit, Depacketizer, RtpPacket } from './port.ts';

export class OpusDepacketizer implements Depacketizer {
  #droppedUnits = 0;

  get droppedUnits(): number {
    return this.#droppedUnits;
  }

  push(packet: RtpPacket, out: DepacketizedUnit[]): void {
    const { payload, timestamp } = packet;
    if (payload.length === 0) return;
    if (opusPacketSamples(payload) === 0) {
      this.#droppedUnits++;
      return;
    }
    // Copied: the unit may live for seconds in a recorder's queue, the packet's buffer belongs to the transport.
    out.push({ timestamp, data: Buffer.from(payload), randomAccess: true, sps: null, pps: null, size: null });
  }

  lost(): void {
    // Every packet stands alone.
  }
}
