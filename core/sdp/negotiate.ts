/** Chooses payload types from an offered section. Pure. */
import type { MediaDescription, RtpMap } from './description.ts';
import { rtpMapText } from './write.ts';

export type CodecName = 'h264' | 'vp8' | 'opus';

export interface ChosenCodec {
  readonly codec: CodecName;
  readonly payloadType: number;
  /** `H264/90000` as offered. */
  readonly rtpmap: string;
  readonly rtpMap: RtpMap;
  /** The offer's parameters, repeated in the answer; null when it has none. */
  readonly fmtp: string | null;
  readonly rtxPayloadType: number | null;
  /** H.264 (RFC 6184 §8.1); 1 for other codecs. */
  readonly packetizationMode: 0 | 1;
}

/** One parameter of an fmtp line, names compared without case; null when absent. */
export const fmtpParameter = (fmtp: string, name: string): string | null => {
  for (const part of fmtp.split(';')) {
    const [key = '', ...rest] = part.split('=');
    if (key.trim().toLowerCase() === name.toLowerCase()) return rest.join('=').trim();
  }
  return null;
};

/**
 * The best payload type of `section` for `codec`, or null. H.264: packetization mode 1 with the profile of `profileLevelId` (six hex
 * digits) first, then any of mode 1 whatever the profile (D-5; without `profileLevelId` Constrained Baseline, which every encoder has),
 * then mode 0.
 */
export const chooseCodec = (section: MediaDescription, codec: CodecName, profileLevelId?: string): ChosenCodec | null => {
  let best: ChosenCodec | null = null;
  let bestScore = -1;
  for (const rtpMap of section.rtpMaps) {
    if (rtpMap.encoding.toLowerCase() !== codec || rtpMap.clockRate !== (codec === 'opus' ? 48_000 : 90_000)) continue;
    if (!section.formats.includes(String(rtpMap.payloadType))) continue;
    const fmtp = section.fmtp.get(rtpMap.payloadType) ?? null;
    const mode = codec === 'h264' ? fmtpParameter(fmtp ?? '', 'packetization-mode') : '1';
    if (mode !== null && mode !== '0' && mode !== '1') continue; // interleaved mode 2
    const score = (mode === '1' ? 4 : 0) + (codec === 'h264' ? profileScore(fmtp ?? '', profileLevelId ?? '42e01f') : 0);
    if (score <= bestScore) continue;
    bestScore = score;
    best = {
      codec, payloadType: rtpMap.payloadType, rtpmap: rtpMapText(rtpMap), rtpMap, fmtp,
      rtxPayloadType: rtxFor(section, rtpMap.payloadType), packetizationMode: mode === '1' ? 1 : 0,
    };
  }
  return best;
};

/** The payload type that retransmits `payloadType` (RFC 4588 §8.1); null when there is none. */
export const rtxFor = (section: MediaDescription, payloadType: number): number | null => {
  for (const map of section.rtpMaps) {
    if (map.encoding.toLowerCase() !== 'rtx') continue;
    if (fmtpParameter(section.fmtp.get(map.payloadType) ?? '', 'apt') === String(payloadType)) return map.payloadType;
  }
  return null;
};

/** The first codec of `order` the section offers. */
export const chooseFirst = (section: MediaDescription, order: readonly CodecName[], profileLevelId?: string): ChosenCodec | null => {
  for (const codec of order) {
    const chosen = chooseCodec(section, codec, profileLevelId);
    if (chosen) return chosen;
  }
  return null;
};

/** 2: the same profile, 1: the same profile_idc, 0: another. Levels do not matter (D-5). */
const profileScore = (fmtp: string, wanted: string): number => {
  const offered = Number.parseInt(fmtpParameter(fmtp, 'profile-level-id') ?? '420010', 16); // RFC 6184 §8.1: Baseline level 1 when absent
  const target = Number.parseInt(wanted, 16);
  if (offered >> 16 !== target >> 16) return 0;
  // Baseline and Constrained Baseline differ in constraint_set1.
  return ((offered >> 8) & 0x40) === ((target >> 8) & 0x40) ? 2 : 1;
};
