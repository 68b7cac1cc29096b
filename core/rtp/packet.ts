/** RTP packets, RFC 3550 §5.1, and their header extensions, RFC 8285. */
import type { RtpTimestamp } from '../units.ts';

/** Bytes of a header without CSRCs and extensions. */
export const RTP_HEADER_BYTES = 12;

const ONE_BYTE_PROFILE = 0xbede;
const TWO_BYTE_PROFILE = 0x1000;

/** Whether a packet that came on a muxed port is RTCP (RFC 5761 §4: second byte 192–223). */
export const isRtcp = (bytes: Uint8Array): boolean => {
  const type = bytes[1];
  return bytes.length >= 4 && type !== undefined && type >= 192 && type <= 223;
};

/** Parses the packet from `start` to `end` of `bytes`; null when it is not a well-formed RTP packet of version 2. It is a view: nothing is copied. */
export const parseRtpPacket = (bytes: Buffer, start = 0, end = bytes.length): RtpPacket | null => {
  if (end - start < RTP_HEADER_BYTES) return null;
  const first = bytes.readUInt8(start);
  if (first >> 6 !== 2) return null;
  let payloadStart = start + RTP_HEADER_BYTES + 4 * (first & 0x0f);
  let extensionProfile = 0;
  let extensionStart = 0;
  let extensionLength = 0;
  if (first & 0x10) {
    if (end < payloadStart + 4) return null;
    extensionProfile = bytes.readUInt16BE(payloadStart);
    extensionLength = 4 * bytes.readUInt16BE(payloadStart + 2);
    extensionStart = payloadStart + 4;
    payloadStart = extensionStart + extensionLength;
  }
  let payloadEnd = end;
  if (first & 0x20) {
    const padding = bytes.readUInt8(end - 1);
    if (padding === 0) return null;
    payloadEnd -= padding;
  }
  if (payloadStart > payloadEnd) return null;
  return new RtpPacket(bytes, start, end, payloadStart, payloadEnd, extensionProfile, extensionStart, extensionLength);
};

/** A parsed RTP packet (RFC 3550 §5.1), a view of the received buffer. */
export class RtpPacket {
  /** What it lies in, perhaps beside others. */
  readonly bytes: Buffer;
  /** Of the whole packet, header and padding included. */
  readonly byteLength: number;
  readonly marker: boolean;
  readonly payloadType: number;
  readonly sequenceNumber: number;
  readonly timestamp: RtpTimestamp;
  readonly ssrc: number;
  /** Where in `bytes` the payload lies, padding left out. */
  readonly payloadStart: number;
  readonly payloadEnd: number;
  /** Offset and length of the header extension's body in `bytes`, and its profile; 0 when there is none. */
  readonly extensionProfile: number;
  readonly extensionStart: number;
  readonly extensionLength: number;

  constructor(bytes: Buffer, start: number, end: number, payloadStart: number, payloadEnd: number, extensionProfile: number, extensionStart: number, extensionLength: number) {
    const second = bytes.readUInt8(start + 1);
    this.bytes = bytes;
    this.byteLength = end - start;
    this.marker = second >= 0x80;
    this.payloadType = second & 0x7f;
    this.sequenceNumber = bytes.readUInt16BE(start + 2);
    this.timestamp = bytes.readUInt32BE(start + 4);
    this.ssrc = bytes.readUInt32BE(start + 8);
    this.payloadStart = payloadStart;
    this.payloadEnd = payloadEnd;
    this.extensionProfile = extensionProfile;
    this.extensionStart = extensionStart;
    this.extensionLength = extensionLength;
  }

  /** The payload as a view, made anew each time: not for what looks at every packet of a large picture. */
  get payload(): Buffer { return this.bytes.subarray(this.payloadStart, this.payloadEnd); }
}

/** The data of header extension `id` (1–14 in one-byte form, 1–255 in two-byte form) as a view; null when it is absent or broken. */
export const readExtension = (packet: RtpPacket, id: number): Buffer | null => {
  if (packet.extensionLength === 0) return null;
  const { bytes } = packet;
  const end = packet.extensionStart + packet.extensionLength;
  const oneByte = packet.extensionProfile === ONE_BYTE_PROFILE;
  if (!oneByte && (packet.extensionProfile & 0xfff0) !== TWO_BYTE_PROFILE) return null;
  let offset = packet.extensionStart;
  while (offset < end) {
    const head = bytes.readUInt8(offset);
    if (head === 0) { offset++; continue; } // padding
    if (!oneByte && offset + 1 >= end) return null;
    const element = oneByte ? head >> 4 : head;
    if (oneByte && element === 15) return null; // RFC 8285 §4.2: stop
    const length = oneByte ? (head & 0x0f) + 1 : bytes.readUInt8(offset + 1);
    const start = offset + (oneByte ? 1 : 2);
    if (start + length > end) return null;
    if (element === id) return bytes.subarray(start, start + length);
    offset = start + length;
  }
  return null;
};

export interface RtpHeader {
  readonly marker: boolean;
  readonly payloadType: number;
  readonly sequenceNumber: number;
  readonly timestamp: RtpTimestamp;
  readonly ssrc: number;
}

/** Writes a plain 12-byte header at the start of `bytes`. Sequence number and timestamp are taken modulo their size. */
export const writeRtpHeader = (bytes: Buffer, header: RtpHeader): void => {
  bytes[0] = 0x80;
  bytes[1] = (header.marker ? 0x80 : 0) | (header.payloadType & 0x7f);
  bytes.writeUInt16BE(header.sequenceNumber & 0xffff, 2);
  bytes.writeUInt32BE(header.timestamp >>> 0, 4);
  bytes.writeUInt32BE(header.ssrc >>> 0, 8);
};
