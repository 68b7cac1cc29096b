/** NAL units of ITU-T H.264 (08/2021) in their two framings: AVCC (ISO/IEC 14496-15, length-prefixed) and Annex B (start codes). */
import { BitReader } from '../../bits/bit-reader.ts';
import { removeEmulationPrevention } from '../../bits/emulation-prevention.ts';
import { MediaError } from '../../errors.ts';

/** nal_unit_type, Table 7-1. */
export const NalType = {
  slice: 1,
  partitionA: 2,
  partitionB: 3,
  partitionC: 4,
  idr: 5,
  sei: 6,
  sps: 7,
  pps: 8,
  accessUnitDelimiter: 9,
  endOfSequence: 10,
  endOfStream: 11,
  filler: 12,
  spsExtension: 13,
  prefix: 14,
  subsetSps: 15,
} as const;

export const nalType = (nal: Uint8Array): number => (nal[0] ?? 0) & 0x1f;

/** Carries picture data (types 1–5). */
export const isVcl = (type: number): boolean => type >= 1 && type <= 5;

/** The NAL units of an AVCC sample with 4-byte lengths, as views. Throws INVALID_ARGUMENT when the lengths do not fit. */
export const avccNals = (data: Buffer): Buffer[] => {
  const nals: Buffer[] = [];
  let offset = 0;
  while (offset < data.length) {
    if (offset + 4 > data.length) throw new MediaError('INVALID_ARGUMENT', 'AVCC length field is cut off');
    const end = offset + 4 + data.readUInt32BE(offset);
    if (end > data.length) throw new MediaError('INVALID_ARGUMENT', 'AVCC length reaches past the end');
    if (end > offset + 4) nals.push(data.subarray(offset + 4, end));
    offset = end;
  }
  return nals;
};

/** The NAL units of an Annex B byte stream, as views, without start codes and trailing zeros. Anything before the first start code is ignored. */
export const annexBNals = (data: Buffer): Buffer[] => {
  const nals: Buffer[] = [];
  let start = data.indexOf(START_CODE);
  while (start >= 0) {
    const next = data.indexOf(START_CODE, start + 3);
    let end = next < 0 ? data.length : next;
    while (end > start + 3 && data[end - 1] === 0) end--; // trailing_zero_8bits and the zero_byte of the next start code (B.1.1)
    if (end > start + 3) nals.push(data.subarray(start + 3, end));
    start = next;
  }
  return nals;
};
const START_CODE = Buffer.from([0, 0, 1]);

/** One AVCC sample (4-byte lengths) of these NAL units, in one new buffer. */
export const toAvcc = (nals: readonly Uint8Array[]): Buffer => {
  let length = 0;
  for (const nal of nals) length += 4 + nal.length;
  const data = Buffer.allocUnsafe(length);
  let offset = 0;
  for (const nal of nals) {
    data.writeUInt32BE(nal.length, offset);
    data.set(nal, offset + 4);
    offset += 4 + nal.length;
  }
  return data;
};

/**
 * Whether a slice NAL unit is a B slice (slice_type 1 or 6, §7.4.3); false for anything that is no slice or is cut off.
 * Reads the first bytes only.
 */
export const isBSlice = (nal: Uint8Array): boolean => {
  const type = nalType(nal);
  if (type !== NalType.slice && type !== NalType.partitionA) return false;
  try {
    const reader = new BitReader(removeEmulationPrevention(nal.subarray(1), 16));
    reader.ue(); // first_mb_in_slice
    return reader.ue() % 5 === 1;
  } catch {
    return false; // cut off inside the header: not a slice anyone can decode
  }
};

/** Whether a slice NAL unit begins a picture: first_mb_in_slice = 0, whose code is the single bit 1 (§7.3.3). */
export const isFirstSlice = (nal: Uint8Array): boolean => ((nal[1] ?? 0) & 0x80) !== 0;
