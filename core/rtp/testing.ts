/** Builders for tests of RTP code. */
import { RTP_HEADER_BYTES, parseRtpPacket, writeRtpHeader } from './packet.ts';
import type { RtpPacket } from './port.ts';

export interface TestPacket {
  readonly sequenceNumber?: number;
  readonly timestamp?: number;
  readonly marker?: boolean;
  readonly payloadType?: number;
  readonly ssrc?: number;
}

/** A parsed packet of this payload. */
export const rtpPacket = (payload: Uint8Array, fields: TestPacket = {}): RtpPacket => {
  const bytes = Buffer.alloc(RTP_HEADER_BYTES + payload.length);
  writeRtpHeader(bytes, { marker: false, payloadType: 96, sequenceNumber: 0, timestamp: 0, ssrc: 1, ...fields });
  bytes.set(payload, RTP_HEADER_BYTES);
  const packet = parseRtpPacket(bytes);
  if (!packet) throw new Error('the test built a malformed packet');
  return packet;
};

export const hex = (text: string): Buffer => Buffer.from(text.replace(/\s+/g, ''), 'hex');
