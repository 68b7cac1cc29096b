/** What an ANNOUNCE's SDP offers to send, and what of it we take (ING-5). Pure. */
import { parseAudioSpecificConfig, aacTrack } from '../../core/codec/aac/audio-specific-config.ts';
import { opusTrack } from '../../core/codec/opus/opus.ts';
import { MediaError } from '../../core/errors.ts';
import { AacDepacketizer } from '../../core/rtp/aac-depacketizer.ts';
import { H264Depacketizer } from '../../core/rtp/h264-depacketizer.ts';
import { OpusDepacketizer } from '../../core/rtp/opus-depacketizer.ts';
import type { Depacketizer } from '../../core/rtp/port.ts';
import { parseSdp } from '../../core/sdp/parse.ts';
import type { MediaDescription, RtpMap } from '../../core/sdp/description.ts';
import type { AudioTrack } from '../../core/track.ts';
import type { ParameterSets } from '../timeline/video-format.ts';

interface Section {
  /** The control attribute as written; null when the section has none. */
  readonly control: string | null;
}

/** H.264, RFC 6184, packetization modes 0 and 1. */
export interface VideoSection extends Section {
  readonly kind: 'video';
  readonly payloadType: number;
  readonly parameterSets: ParameterSets | null;
}

/** AAC (RFC 3640) or Opus (RFC 7587). */
export interface AudioSection extends Section {
  readonly kind: 'audio';
  readonly payloadType: number;
  readonly track: AudioTrack;
  readonly createDepacketizer: () => Depacketizer;
}

/** Accepted at SETUP and then not listened to: audio must never be a reason to refuse video. */
export interface IgnoredSection extends Section {
  readonly kind: 'ignored';
  /** For the log. */
  readonly encoding: string;
}

export type AnnouncedSection = VideoSection | AudioSection | IgnoredSection;

/**
 * The sections of an announced description, in its order; at most one video and one audio are taken. Throws INVALID_ARGUMENT for a
 * broken one, UNSUPPORTED_MEDIA_TYPE when its video is not H.264 or there is nothing at all we can take.
 */
export const readAnnouncement = (sdp: string): readonly AnnouncedSection[] => {
  const media = parseSdp(sdp).media;
  const sections: AnnouncedSection[] = [];
  for (const description of media) {
    const section = readSection(description);
    const taken = section.kind !== 'ignored' && sections.some((other) => other.kind === section.kind);
    sections.push(taken ? { kind: 'ignored', control: section.control, encoding: `second ${section.kind}` } : section);
  }
  if (media.some(({ kind }) => kind === 'video') && !sections.some(({ kind }) => kind === 'video')) {
    const names = media.filter(({ kind }) => kind === 'video').map((description) => rtpMap(description)?.encoding ?? 'unknown');
    throw new MediaError('UNSUPPORTED_MEDIA_TYPE', 'only H.264 video is taken by RTSP', { context: { offered: names.join(', ').slice(0, 100) } });
  }
  if (!sections.some(({ kind }) => kind !== 'ignored')) throw new MediaError('UNSUPPORTED_MEDIA_TYPE', 'nothing announced that can be taken');
  return sections;
};

export const createVideoDepacketizer = (): Depacketizer => new H264Depacketizer();

const rtpMap = (media: MediaDescription): RtpMap | undefined =>
  media.rtpMaps.find((map) => String(map.payloadType) === media.formats[0]);

const readSection = (media: MediaDescription): AnnouncedSection => {
  const map = rtpMap(media);
  const ignored: IgnoredSection = { kind: 'ignored', control: media.control, encoding: map?.encoding ?? media.formats[0] ?? media.kind };
  if (!map) return ignored;
  const parameters = readParameters(media.fmtp.get(map.payloadType) ?? '');
  if (media.kind === 'video') return readVideo(media, map, parameters) ?? ignored;
  if (media.kind === 'audio') return readAudio(media, map, parameters) ?? ignored;
  return ignored;
};

/** `a=fmtp` parameters by lower-case name. */
const readParameters = (text: string): ReadonlyMap<string, string> => {
  const parameters = new Map<string, string>();
  for (const part of text.split(';')) {
    const equals = part.indexOf('=');
    if (equals > 0) parameters.set(part.slice(0, equals).trim().toLowerCase(), part.slice(equals + 1).trim());
  }
  return parameters;
};

const readVideo = (media: MediaDescription, map: RtpMap, parameters: ReadonlyMap<string, string>): VideoSection | null => {
  if (map.encoding.toUpperCase() !== 'H264' || map.clockRate !== 90_000) return null;
  const mode = parameters.get('packetization-mode') ?? '0';
  if (mode !== '0' && mode !== '1') return null; // interleaved mode (RFC 6184 §6.4)
  return { kind: 'video', control: media.control, payloadType: map.payloadType, parameterSets: readSprop(parameters.get('sprop-parameter-sets') ?? '') };
};

/** RFC 6184 §8.1: base64 NAL units separated by commas, in any order. Broken ones are as good as none: they come in-band, too. */
const readSprop = (value: string): ParameterSets | null => {
  let sps: Buffer | null = null;
  let pps: Buffer | null = null;
  for (const text of value.split(',').slice(0, 64)) {
    const nal = Buffer.from(text, 'base64');
    const type = (nal[0] ?? 0) & 0x1f;
    if (type === 7) sps = nal;
    else if (type === 8) pps = nal;
  }
  return sps && pps ? { sps, pps } : null;
};

const readAudio = (media: MediaDescription, map: RtpMap, parameters: ReadonlyMap<string, string>): AudioSection | null => {
  const base = { kind: 'audio', control: media.control, payloadType: map.payloadType } as const;
  switch (map.encoding.toUpperCase()) {
    case 'OPUS':
      return map.clockRate === 48_000 ? { ...base, track: opusTrack(), createDepacketizer: () => new OpusDepacketizer() } : null;
    case 'MPEG4-GENERIC':
      return readAac(base, map, parameters);
    default:
      return null;
  }
};

const readAac = (base: Omit<AudioSection, 'track' | 'createDepacketizer'>, map: RtpMap, parameters: ReadonlyMap<string, string>): AudioSection | null => {
  const bits = (name: string): number => {
    const text = parameters.get(name) ?? '0';
    return /^\d{1,2}$/.test(text) ? Number(text) : 99;
  };
  const format = { sizeLength: bits('sizelength'), indexLength: bits('indexlength'), indexDeltaLength: bits('indexdeltalength') };
  if (format.sizeLength < 1 || format.sizeLength > 16 || format.indexLength > 16 || format.indexDeltaLength > 16) return null;
  try {
    const config = Buffer.from(parameters.get('config') ?? '', 'hex');
    const track = aacTrack(config);
    // An RTP clock that is not the core coder's rate (some HE-AAC senders) would need conversion: not taken.
    if (track.clockRate !== map.clockRate) return null;
    const { frameSamples } = parseAudioSpecificConfig(config);
    return { ...base, track, createDepacketizer: () => new AacDepacketizer({ ...format, frameSamples }) };
  } catch (error) {
    if (error instanceof MediaError) return null;
    throw error;
  }
};
