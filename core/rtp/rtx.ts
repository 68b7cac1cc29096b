/** Retransmission payload format, RFC 4588 §4: the original sequence number stands before the original payload. */
import { RTP_HEADER_BYTES, parseRtpPacket, writeRtpHeader } from './packet.ts';
import type { RtpPacket } from './port.ts';

/**
 * The original packet inside an RTX packet, in a new buffer without the header extensions of the retransmission; null when it
 * carries none (padding, used by browsers to probe bandwidth).
 */
export const unwrapRtx = (rtx: RtpPacket, payloadType: number, ssrc: number): RtpPacket | null => {
  const { payload } = rtx;
  if (payload.length <= 2) return null;
  const bytes = Buffer.allocUnsafe(RTP_HEADER_BYTES + payload.length - 2);
  writeRtpHeader(bytes, { marker: rtx.marker, payloadType, sequenceNumber: payload.readUInt16BE(0), timestamp: rtx.timestamp, ssrc });
  payload.copy(bytes, RTP_HEADER_BYTES, 2);
  return parseRtpPacket(bytes);
};

export interface RtxHeader {
  readonly payloadType: number;
  readonly ssrc: number;
  /** Of the RTX stream. */
  readonly sequenceNumber: number;
  /** The one the receiver asked for. */
  readonly originalSequenceNumber: number;
}

/** An RTX packet in a new buffer around `original`, a packet with a plain 12-byte header. */
export const wrapRtx = (original: Buffer, header: RtxHeader): Buffer => {
  const bytes = Buffer.allocUnsafe(original.length + 2);
  original.copy(bytes, 0, 0, RTP_HEADER_BYTES);
  bytes[1] = (original.readUInt8(1) & 0x80) | header.payloadType;
  bytes.writeUInt16BE(header.sequenceNumber & 0xffff, 2);
  bytes.writeUInt32BE(header.ssrc >>> 0, 8);
  bytes.writeUInt16BE(header.originalSequenceNumber & 0xffff, RTP_HEADER_BYTES);
  original.copy(bytes, RTP_HEADER_BYTES + 2, RTP_HEADER_BYTES);
  return bytes;
};
