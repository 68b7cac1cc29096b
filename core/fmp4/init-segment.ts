/**
 * The init segment (`ftyp` + `moov`) of a fragmented MP4: ISO/IEC 14496-12:2022 §8, H.264 by ISO/IEC 14496-15:2022 §5.4, AAC by ISO/IEC 14496-14 §5.6,
 * Opus by "Encapsulation of Opus in ISO Base Media File Format" 0.8.1 §4.3.
 *
 * The H.264 sample entry is `avc1`, because that is what every player takes, although the samples keep the SPS and PPS that the camera sent in band
 * (which the letter of the standard reserves to `avc3`): bytes are kept as they were pushed, and decoders ignore a repetition.
 */
import { MediaError, invariant } from '../errors.ts';
import { avcDecoderConfig } from '../codec/h264/track.ts';
import { opusDecoderConfig } from '../codec/opus/opus.ts';
import type { AacTrack, AudioTrack, H264Track, OpusTrack, Tracks, VideoTrack } from '../track.ts';
import { BoxWriter } from './box-writer.ts';

/** Track numbers are fixed: a reader need not look them up. */
export const VIDEO_TRACK_ID = 1;
export const AUDIO_TRACK_ID = 2;

/** `sample_flags` (§8.8.3.1): a sync sample depends on no other; the rest depend on others and are no sync samples. */
export const SYNC_SAMPLE_FLAGS = 0x0200_0000;
export const NON_SYNC_SAMPLE_FLAGS = 0x0101_0000;

/** Milliseconds, the timescale of the movie header; tracks have their own clock's. */
const MOVIE_TIMESCALE = 1_000;
const UNITY_MATRIX = [0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000] as const;

const muxableVideo = (video: VideoTrack | null): video is H264Track | null => video === null || video.codec === 'h264';

/** Whether these tracks fit into an MP4 that players take: not VP8 (neither ffmpeg nor Chromium accepts it there), and not nothing. */
export const canMux = (tracks: Tracks): boolean => muxableVideo(tracks.video) && (tracks.video !== null || tracks.audio !== null);

/** RFC 6381 codecs of the tracks, comma-separated, video first: for playlists and `MediaSource`. */
export const codecsOf = (tracks: Tracks): string =>
  [tracks.video, tracks.audio].filter((track) => track !== null).map((track) => track.codecString).join(',');

/** `ftyp` + `moov` for parts of these tracks. Throws UNPROCESSABLE when `canMux` is false. */
export const writeInitSegment = (tracks: Tracks): Buffer => {
  const { video, audio } = tracks;
  if (!canMux(tracks) || !muxableVideo(video)) throw new MediaError('UNPROCESSABLE', 'this codec cannot be put into an MP4', { context: { codecs: codecsOf(tracks) } });
  const w = new BoxWriter(1_024);
  writeFileType(w);
  const moov = w.begin('moov');
  writeMovieHeader(w);
  if (video) writeTrack(w, VIDEO_TRACK_ID, video);
  if (audio) writeTrack(w, AUDIO_TRACK_ID, audio);
  const mvex = w.begin('mvex');
  if (video) writeTrackExtends(w, VIDEO_TRACK_ID, NON_SYNC_SAMPLE_FLAGS);
  if (audio) writeTrackExtends(w, AUDIO_TRACK_ID, SYNC_SAMPLE_FLAGS);
  w.end(mvex);
  w.end(moov);
  return w.finish();
};

/** `iso6` stands for what we use: `tfdt`, default-base-is-moof, signed offsets. `hlsf` (RFC 8216bis) allows both tracks in one file, which `cmfc` does not. */
const writeFileType = (w: BoxWriter): void => {
  const box = w.begin('ftyp');
  w.ascii('iso6');
  w.u32(0);
  w.ascii('iso6mp41hlsf');
  w.end(box);
};

const writeMovieHeader = (w: BoxWriter): void => {
  const box = w.beginFull('mvhd', 0, 0);
  w.u32(0); // creation time: the wall clock is in every part's `prft`
  w.u32(0); // modification time
  w.u32(MOVIE_TIMESCALE);
  w.u32(0); // duration: known to nobody yet
  w.u32(0x10000); // rate 1.0
  w.u16(0x100); // volume 1.0
  w.zeros(10);
  for (const value of UNITY_MATRIX) w.u32(value);
  w.zeros(24);
  w.u32(AUDIO_TRACK_ID + 1); // next track id
  w.end(box);
};

const writeTrack = (w: BoxWriter, id: number, track: H264Track | AudioTrack): void => {
  const trak = w.begin('trak');
  const tkhd = w.beginFull('tkhd', 0, 3); // enabled, in the movie
  w.zeros(8); // creation and modification time
  w.u32(id);
  w.zeros(4 + 4 + 8 + 2 + 2); // reserved, duration, reserved, layer, alternate group
  w.u16(track.kind === 'audio' ? 0x100 : 0); // volume
  w.u16(0);
  for (const value of UNITY_MATRIX) w.u32(value);
  w.u32(track.kind === 'video' ? track.width * 0x10000 : 0);
  w.u32(track.kind === 'video' ? track.height * 0x10000 : 0);
  w.end(tkhd);

  const mdia = w.begin('mdia');
  const mdhd = w.beginFull('mdhd', 0, 0);
  w.zeros(8);
  w.u32(track.clockRate);
  w.u32(0); // duration
  w.u16(0x55c4); // language `und`
  w.u16(0);
  w.end(mdhd);
  const hdlr = w.beginFull('hdlr', 0, 0);
  w.u32(0);
  w.ascii(track.kind === 'video' ? 'vide' : 'soun');
  w.zeros(12);
  w.ascii(track.kind === 'video' ? 'video\0' : 'audio\0');
  w.end(hdlr);
  const minf = w.begin('minf');
  writeMediaHeader(w, track.kind);
  writeSampleTable(w, track);
  w.end(minf);
  w.end(mdia);
  w.end(trak);
};

const writeMediaHeader = (w: BoxWriter, kind: 'video' | 'audio'): void => {
  const header = kind === 'video' ? w.beginFull('vmhd', 0, 1) : w.beginFull('smhd', 0, 0);
  w.zeros(kind === 'video' ? 8 : 4);
  w.end(header);
  const dinf = w.begin('dinf');
  const dref = w.beginFull('dref', 0, 0);
  w.u32(1);
  w.end(w.beginFull('url ', 0, 1)); // the media is in this very file
  w.end(dref);
  w.end(dinf);
};

/** Only the sample description; the tables are empty, the samples are in the parts. */
const writeSampleTable = (w: BoxWriter, track: H264Track | AudioTrack): void => {
  const stbl = w.begin('stbl');
  const stsd = w.beginFull('stsd', 0, 0);
  w.u32(1);
  if (track.kind === 'video') writeAvc1(w, track);
  else if (track.codec === 'opus') writeOpus(w, track);
  else writeMp4a(w, track);
  w.end(stsd);
  for (const type of ['stts', 'stsc', 'stco'] as const) {
    const box = w.beginFull(type, 0, 0);
    w.u32(0);
    w.end(box);
  }
  const stsz = w.beginFull('stsz', 0, 0);
  w.zeros(8);
  w.end(stsz);
  w.end(stbl);
};

const writeAvc1 = (w: BoxWriter, track: H264Track): void => {
  const entry = w.begin('avc1');
  w.zeros(6);
  w.u16(1); // data reference index
  w.zeros(16);
  w.u16(track.width);
  w.u16(track.height);
  w.u32(0x480000); // 72 dpi, by the standard
  w.u32(0x480000);
  w.u32(0);
  w.u16(1); // frames per sample
  w.zeros(32); // compressor name
  w.u16(0x18); // depth
  w.u16(0xffff);
  const avcC = w.begin('avcC');
  w.bytes(avcDecoderConfig(track));
  w.end(avcC);
  w.end(entry);
};

const writeAudioEntry = (w: BoxWriter, channels: number, clockRate: number): void => {
  w.zeros(6);
  w.u16(1); // data reference index
  w.zeros(8);
  w.u16(channels);
  w.u16(16); // sample size
  w.u32(0);
  w.u32(clockRate > 0xffff ? 0 : clockRate * 0x10000); // 16.16; a higher rate is told by the decoder's configuration alone
};

const writeOpus = (w: BoxWriter, track: OpusTrack): void => {
  const entry = w.begin('Opus');
  writeAudioEntry(w, track.channels, track.clockRate);
  const dOps = w.begin('dOps');
  w.bytes(opusDecoderConfig(track, 0)); // pre-skip 0: a live stream is joined anywhere, there is no encoder start to cut off
  w.end(dOps);
  w.end(entry);
};

const writeMp4a = (w: BoxWriter, track: AacTrack): void => {
  const { config } = track;
  invariant(config.length > 0 && config.length < 90, 'descriptor lengths are written in one byte');
  const entry = w.begin('mp4a');
  writeAudioEntry(w, track.channels, track.clockRate);
  const esds = w.beginFull('esds', 0, 0);
  // ISO/IEC 14496-1 §7.2.6: ES_Descriptor { DecoderConfigDescriptor { DecoderSpecificInfo }, SLConfigDescriptor }
  w.u8(0x03);
  w.u8(3 + 2 + 13 + 2 + config.length + 3);
  w.u16(AUDIO_TRACK_ID);
  w.u8(0);
  w.u8(0x04);
  w.u8(13 + 2 + config.length);
  w.u8(0x40); // MPEG-4 audio
  w.u8(0x15); // audio stream, not upstream
  w.zeros(3 + 4 + 4); // buffer size, maximal and average bit rate: unknown
  w.u8(0x05);
  w.u8(config.length);
  w.bytes(config);
  w.u8(0x06);
  w.u8(1);
  w.u8(2); // SL header reserved for MP4
  w.end(esds);
  w.end(entry);
};

const writeTrackExtends = (w: BoxWriter, id: number, sampleFlags: number): void => {
  const box = w.beginFull('trex', 0, 0);
  w.u32(id);
  w.u32(1); // sample description
  w.u32(0); // duration and size come with each sample
  w.u32(0);
  w.u32(sampleFlags);
  w.end(box);
};
