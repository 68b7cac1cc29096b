/** Opus into RTP payloads, RFC 7587: a packet is never split; the marker bit (start of a talk spurt) is not used. */
import type { Packetizer } from './port.ts';

export class OpusPacketizer implements Packetizer {
  packetize(data: Buffer, emit: (payload: readonly Buffer[], last: boolean) => void): void {
    if (data.length > 0) emit([data], false);
  }
}
