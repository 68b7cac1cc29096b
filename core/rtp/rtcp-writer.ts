/** RTCP packets, written; the counterparts of `rtcp.ts`. Concatenate several for a compound packet. */
import type { Milliseconds, RtpTimestamp } from '../units.ts';
import { unixToNtp } from './ntp.ts';
import type { ReportBlock } from './rtcp.ts';
import { sequenceDelta } from './unwrap.ts';

/** A zeroed packet of `length` bytes (a multiple of 4) with its common header and sender SSRC. */
const packet = (length: number, type: number, count: number, ssrc: number): Buffer => {
  const bytes = Buffer.alloc(length);
  bytes[0] = 0x80 | count;
  bytes[1] = type;
  bytes.writeUInt16BE(length / 4 - 1, 2);
  bytes.writeUInt32BE(ssrc >>> 0, 4);
  return bytes;
};

const writeReports = (bytes: Buffer, start: number, reports: readonly ReportBlock[]): void => {
  reports.forEach((report, i) => {
    const o = start + 24 * i;
    bytes.writeUInt32BE(report.ssrc, o);
    bytes[o + 4] = report.fractionLost;
    bytes.writeIntBE(Math.max(-0x80_0000, Math.min(0x7f_ffff, report.cumulativeLost)), o + 5, 3);
    bytes.writeUInt32BE(report.highestSequence >>> 0, o + 8);
    bytes.writeUInt32BE(report.jitter >>> 0, o + 12);
    bytes.writeUInt32BE(report.lastSr >>> 0, o + 16);
    bytes.writeUInt32BE(report.delaySinceLastSr >>> 0, o + 20);
  });
};

export interface SenderReportFields {
  readonly ssrc: number;
  /** Unix ms. */
  readonly ntp: Milliseconds;
  readonly rtpTs: RtpTimestamp;
  readonly packets: number;
  readonly octets: number;
  readonly reports?: readonly ReportBlock[];
}

export const writeSenderReport = (fields: SenderReportFields): Buffer => {
  const reports = fields.reports ?? [];
  const bytes = packet(28 + 24 * reports.length, 200, reports.length, fields.ssrc);
  const { seconds, fraction } = unixToNtp(fields.ntp);
  bytes.writeUInt32BE(seconds, 8);
  bytes.writeUInt32BE(fraction, 12);
  bytes.writeUInt32BE(fields.rtpTs >>> 0, 16);
  bytes.writeUInt32BE(fields.packets >>> 0, 20);
  bytes.writeUInt32BE(fields.octets >>> 0, 24);
  writeReports(bytes, 28, reports);
  return bytes;
};

/** At most 31 reports. */
export const writeReceiverReport = (ssrc: number, reports: readonly ReportBlock[]): Buffer => {
  const bytes = packet(8 + 24 * reports.length, 201, reports.length, ssrc);
  writeReports(bytes, 8, reports);
  return bytes;
};

/** `cname`: at most 255 bytes of UTF-8. */
export const writeSdesCname = (ssrc: number, cname: string): Buffer => {
  const length = Buffer.byteLength(cname);
  const bytes = packet((8 + 2 + length + 4) & ~3, 202, 1, ssrc); // at least one terminating zero
  bytes[8] = 1;
  bytes[9] = length;
  bytes.write(cname, 10);
  return bytes;
};

export const writeBye = (ssrc: number): Buffer => packet(8, 203, 1, ssrc);

/** `lost`: sequence numbers in ascending (wrapping) order, at most a few hundred. */
export const writeNack = (sender: number, media: number, lost: readonly number[]): Buffer => {
  const items: { first: number; mask: number }[] = [];
  for (const sequence of lost) {
    const item = items.at(-1);
    const distance = item ? sequenceDelta(sequence, item.first) : -1;
    if (item && distance >= 1 && distance <= 16) item.mask |= 1 << (distance - 1);
    else if (distance !== 0) items.push({ first: sequence & 0xffff, mask: 0 });
  }
  const bytes = packet(12 + 4 * items.length, 205, 1, sender);
  bytes.writeUInt32BE(media >>> 0, 8);
  items.forEach((item, i) => {
    bytes.writeUInt16BE(item.first, 12 + 4 * i);
    bytes.writeUInt16BE(item.mask, 14 + 4 * i);
  });
  return bytes;
};

export const writePli = (sender: number, media: number): Buffer => {
  const bytes = packet(12, 206, 1, sender);
  bytes.writeUInt32BE(media >>> 0, 8);
  return bytes;
};

/** `sequence` counts up with each new request (RFC 5104 §4.3.1.2); the media SSRC field is 0, the target stands in the entry. */
export const writeFir = (sender: number, media: number, sequence: number): Buffer => {
  const bytes = packet(20, 206, 4, sender);
  bytes.writeUInt32BE(media >>> 0, 12);
  bytes[16] = sequence & 0xff;
  return bytes;
};

/** Receiver estimated maximum bitrate, rounded down to 18 significant bits. */
export const writeRemb = (sender: number, bitrateBps: number, ssrcs: readonly number[]): Buffer => {
  const bytes = packet(20 + 4 * ssrcs.length, 206, 15, sender);
  let exponent = 0;
  let mantissa = Math.floor(bitrateBps);
  while (mantissa > 0x3_ffff) {
    mantissa = Math.floor(mantissa / 2);
    exponent++;
  }
  bytes.write('REMB', 12, 'latin1');
  bytes[16] = ssrcs.length;
  bytes[17] = (exponent << 2) | (mantissa >> 16);
  bytes.writeUInt16BE(mantissa & 0xffff, 18);
  ssrcs.forEach((ssrc, i) => bytes.writeUInt32BE(ssrc >>> 0, 20 + 4 * i));
  return bytes;
};
