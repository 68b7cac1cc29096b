/** RTCP packets, read: RFC 3550 §6 (SR, RR, SDES, BYE), RFC 4585 §6 (NACK, PLI), RFC 5104 §4.3.1 (FIR), draft-alvestrand-rmcat-remb-03, draft-holmer-rmcat-transport-wide-cc-extensions-01. */
import type { Milliseconds, RtpTimestamp } from '../units.ts';
import { ntpToUnix } from './ntp.ts';
import { parseTransportFeedback } from './transport-feedback.ts';
import type { TransportFeedback } from './transport-feedback.ts';

export interface ReportBlock {
  readonly ssrc: number;
  /** Lost since the last report, 0..255 of 256. */
  readonly fractionLost: number;
  /** Signed: duplicates can make it negative. */
  readonly cumulativeLost: number;
  readonly highestSequence: number;
  /** In ticks of the track's clock. */
  readonly jitter: number;
  /** Middle 32 bits of the NTP time of the last SR, and the delay since it in 1/65536 s; 0 when none came. */
  readonly lastSr: number;
  readonly delaySinceLastSr: number;
}

export interface SenderReport {
  readonly type: 'sr';
  readonly ssrc: number;
  readonly ntp: Milliseconds;
  readonly ntpMiddle: number;
  readonly rtpTs: RtpTimestamp;
  readonly packets: number;
  readonly octets: number;
  readonly reports: readonly ReportBlock[];
}

export type RtcpPacket =
  | SenderReport
  | { readonly type: 'rr'; readonly ssrc: number; readonly reports: readonly ReportBlock[] }
  | { readonly type: 'sdes'; readonly chunks: readonly { readonly ssrc: number; readonly cname: string | null }[] }
  | { readonly type: 'bye'; readonly ssrcs: readonly number[] }
  | { readonly type: 'nack'; readonly sender: number; readonly media: number; readonly lost: readonly number[] }
  | { readonly type: 'pli'; readonly sender: number; readonly media: number }
  | { readonly type: 'fir'; readonly sender: number; readonly entries: readonly { readonly ssrc: number; readonly sequence: number }[] }
  | { readonly type: 'remb'; readonly sender: number; readonly bitrateBps: number; readonly ssrcs: readonly number[] }
  | TransportFeedback;

const REPORT_BLOCK_BYTES = 24;

/**
 * The packets of a compound (or reduced-size, RFC 5506) packet. Never throws: unknown types and malformed packets are left out,
 * and reading stops at a length that does not fit.
 */
export const parseRtcp = (bytes: Buffer): RtcpPacket[] => {
  const packets: RtcpPacket[] = [];
  let offset = 0;
  while (offset + 4 <= bytes.length) {
    const end = offset + 4 + 4 * bytes.readUInt16BE(offset + 2);
    if (end > bytes.length || bytes.readUInt8(offset) >> 6 !== 2) break;
    const packet = parseOne(bytes.subarray(offset, end));
    if (packet) packets.push(packet);
    offset = end;
  }
  return packets;
};

const parseOne = (raw: Buffer): RtcpPacket | null => {
  const first = raw.readUInt8(0);
  const count = first & 0x1f;
  const padding = first & 0x20 ? raw.readUInt8(raw.length - 1) : 0;
  const bytes = raw.subarray(0, raw.length - padding);
  switch (raw.readUInt8(1)) {
    case 200: return parseSenderReport(bytes, count);
    case 201: return bytes.length < 8 ? null : { type: 'rr', ssrc: bytes.readUInt32BE(4), reports: parseReports(bytes, 8, count) };
    case 202: return parseSdes(bytes, count);
    case 203: return parseBye(bytes, count);
    case 205: return count === 1 ? parseNack(bytes) : count === 15 ? parseTransportFeedback(bytes) : null;
    case 206: return parsePayloadFeedback(bytes, count);
    default: return null;
  }
};

const parseSenderReport = (bytes: Buffer, count: number): SenderReport | null => {
  if (bytes.length < 28) return null;
  return {
    type: 'sr',
    ssrc: bytes.readUInt32BE(4),
    ntp: ntpToUnix(bytes.readUInt32BE(8), bytes.readUInt32BE(12)),
    ntpMiddle: bytes.readUInt32BE(10),
    rtpTs: bytes.readUInt32BE(16),
    packets: bytes.readUInt32BE(20),
    octets: bytes.readUInt32BE(24),
    reports: parseReports(bytes, 28, count),
  };
};

const parseReports = (bytes: Buffer, start: number, count: number): ReportBlock[] => {
  const reports: ReportBlock[] = [];
  for (let o = start; reports.length < count && o + REPORT_BLOCK_BYTES <= bytes.length; o += REPORT_BLOCK_BYTES) {
    reports.push({
      ssrc: bytes.readUInt32BE(o),
      fractionLost: bytes.readUInt8(o + 4),
      cumulativeLost: bytes.readIntBE(o + 5, 3),
      highestSequence: bytes.readUInt32BE(o + 8),
      jitter: bytes.readUInt32BE(o + 12),
      lastSr: bytes.readUInt32BE(o + 16),
      delaySinceLastSr: bytes.readUInt32BE(o + 20),
    });
  }
  return reports;
};

const parseSdes = (bytes: Buffer, count: number): RtcpPacket => {
  const chunks: { ssrc: number; cname: string | null }[] = [];
  let offset = 4;
  while (chunks.length < count && offset + 4 <= bytes.length) {
    const ssrc = bytes.readUInt32BE(offset);
    let cname: string | null = null;
    offset += 4;
    while (offset < bytes.length && bytes.readUInt8(offset) !== 0) {
      const type = bytes.readUInt8(offset);
      const end = offset + 2 + (bytes[offset + 1] ?? bytes.length);
      if (end > bytes.length) return { type: 'sdes', chunks };
      if (type === 1) cname = bytes.toString('utf8', offset + 2, end);
      offset = end;
    }
    chunks.push({ ssrc, cname });
    offset = (offset + 4) & ~3; // at least one zero octet, then up to the next word
  }
  return { type: 'sdes', chunks };
};

const parseBye = (bytes: Buffer, count: number): RtcpPacket => {
  const ssrcs: number[] = [];
  for (let o = 4; ssrcs.length < count && o + 4 <= bytes.length; o += 4) ssrcs.push(bytes.readUInt32BE(o));
  return { type: 'bye', ssrcs };
};

const parseNack = (bytes: Buffer): RtcpPacket | null => {
  if (bytes.length < 16) return null;
  const lost: number[] = [];
  for (let o = 12; o + 4 <= bytes.length; o += 4) {
    const first = bytes.readUInt16BE(o);
    const mask = bytes.readUInt16BE(o + 2);
    lost.push(first);
    for (let bit = 0; bit < 16; bit++) if (mask & (1 << bit)) lost.push((first + 1 + bit) & 0xffff);
  }
  return { type: 'nack', sender: bytes.readUInt32BE(4), media: bytes.readUInt32BE(8), lost };
};

const parsePayloadFeedback = (bytes: Buffer, format: number): RtcpPacket | null => {
  if (bytes.length < 12) return null;
  const sender = bytes.readUInt32BE(4);
  if (format === 1) return { type: 'pli', sender, media: bytes.readUInt32BE(8) };
  if (format === 4) {
    const entries: { ssrc: number; sequence: number }[] = [];
    for (let o = 12; o + 8 <= bytes.length; o += 8) entries.push({ ssrc: bytes.readUInt32BE(o), sequence: bytes.readUInt8(o + 4) });
    return { type: 'fir', sender, entries };
  }
  if (format !== 15 || bytes.length < 20 || bytes.toString('latin1', 12, 16) !== 'REMB') return null;
  const ssrcs: number[] = [];
  for (let o = 20; ssrcs.length < bytes.readUInt8(16) && o + 4 <= bytes.length; o += 4) ssrcs.push(bytes.readUInt32BE(o));
  const mantissa = ((bytes.readUInt8(17) & 0x03) << 16) | bytes.readUInt16BE(18);
  return { type: 'remb', sender, bitrateBps: mantissa * 2 ** (bytes.readUInt8(17) >> 2), ssrcs };
};
