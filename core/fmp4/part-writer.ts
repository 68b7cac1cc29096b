/** One CMAF part (chunk): `prft` + `moof` + `mdat`. ISO/IEC 14496-12:2022 §8.8 and §8.16.5; RFC 5905 §6 for the NTP time. */
import { invariant } from '../errors.ts';
import type { MediaTicks, Milliseconds } from '../units.ts';
import { BoxWriter } from './box-writer.ts';
import { NON_SYNC_SAMPLE_FLAGS, SYNC_SAMPLE_FLAGS, VIDEO_TRACK_ID } from './init-segment.ts';

/** One sample as it goes into a part. */
export interface SampleInput {
  readonly data: Buffer;
  readonly duration: MediaTicks;
  /** PTS − DTS; may be negative. */
  readonly compositionOffset: MediaTicks;
  readonly randomAccess: boolean;
}

/** The samples of one track, in decode order, each beginning where the one before ends. */
export interface PartTrackInput {
  readonly trackId: number;
  /** Decode time of the first sample, on the timeline of the file. */
  readonly baseDecodeTime: MediaTicks;
  readonly samples: readonly SampleInput[];
}

/** What `prft` says: at wall time `wall` (Unix ms) the reference track was at presentation time `mediaTime`. */
export interface PartReference {
  readonly trackId: number;
  readonly wall: Milliseconds;
  readonly mediaTime: MediaTicks;
}

export interface PartInput {
  /** `mfhd` sequence number. */
  readonly sequence: number;
  readonly reference: PartReference;
  /** Video first. Tracks without a sample in this part are left out. */
  readonly tracks: readonly PartTrackInput[];
}

/** Seconds from 1900 to 1970. */
const NTP_UNIX_OFFSET = 2_208_988_800;
/** `prft` flags 24: the time is the real-world time of capture. */
const PRFT_CAPTURED = 24;

const TFHD_DEFAULT_BASE_IS_MOOF = 0x02_00_00;
const TRUN_DATA_OFFSET = 0x1;
const TRUN_DURATION = 0x100;
const TRUN_SIZE = 0x200;
const TRUN_FLAGS = 0x400;
const TRUN_COMPOSITION_OFFSET = 0x800;

/**
 * Encodes a part: `[prft + moof, mdat header, sample, sample, …]`. The samples are the callers' own buffers, uncopied, those of the first
 * track before those of the second; the concatenation of all chunks is the part.
 */
export const writePart = (part: PartInput): Buffer[] => {
  invariant(part.tracks.length > 0, 'a part has at least one track');
  const chunks: Buffer[] = [EMPTY, EMPTY];
  let samples = 0;
  for (const track of part.tracks) samples += track.samples.length;
  const w = new BoxWriter(128 + 80 * part.tracks.length + 16 * samples);
  writeReferenceTime(w, part.reference);

  const moof = w.begin('moof');
  const mfhd = w.beginFull('mfhd', 0, 0);
  w.u32(part.sequence >>> 0);
  w.end(mfhd);
  const offsetFields: number[] = [];
  let mediaBytes = 0;
  for (const track of part.tracks) {
    offsetFields.push(writeTrackFragment(w, track), mediaBytes);
    for (const sample of track.samples) {
      chunks.push(sample.data);
      mediaBytes += sample.data.length;
    }
  }
  w.end(moof);

  const headerLength = w.length;
  invariant(mediaBytes + 8 <= 0xffff_ffff, 'a part is smaller than 4 GiB');
  w.u32(mediaBytes + 8);
  w.ascii('mdat');
  const dataStart = w.length - moof; // offsets count from the first byte of `moof`
  for (let i = 0; i < offsetFields.length; i += 2) w.patchU32(offsetFields[i] ?? 0, dataStart + (offsetFields[i + 1] ?? 0));
  const header = w.finish();
  chunks[0] = header.subarray(0, headerLength);
  chunks[1] = header.subarray(headerLength);
  return chunks;
};
const EMPTY = Buffer.alloc(0);

const writeReferenceTime = (w: BoxWriter, reference: PartReference): void => {
  const prft = w.beginFull('prft', 1, PRFT_CAPTURED);
  w.u32(reference.trackId);
  const seconds = Math.floor(reference.wall / 1_000);
  w.u32((seconds + NTP_UNIX_OFFSET) % 0x1_0000_0000); // wraps in 2036 (RFC 5905 §6: era 1)
  w.u32(Math.min(0xffff_ffff, Math.round(((reference.wall - seconds * 1_000) / 1_000) * 0x1_0000_0000)));
  w.u64(reference.mediaTime);
  w.end(prft);
};

/** Returns where `trun`'s data offset is, to be filled in once the size of `moof` is known. */
const writeTrackFragment = (w: BoxWriter, track: PartTrackInput): number => {
  invariant(track.samples.length > 0, 'a track fragment has at least one sample');
  const video = track.trackId === VIDEO_TRACK_ID;
  const traf = w.begin('traf');
  const tfhd = w.beginFull('tfhd', 0, TFHD_DEFAULT_BASE_IS_MOOF);
  w.u32(track.trackId);
  w.end(tfhd);
  const tfdt = w.beginFull('tfdt', 1, 0);
  w.u64(track.baseDecodeTime);
  w.end(tfdt);
  // Audio samples are all alike: `trex` says their flags, and they have no composition offset.
  const fields = TRUN_DATA_OFFSET | TRUN_DURATION | TRUN_SIZE | (video ? TRUN_FLAGS | TRUN_COMPOSITION_OFFSET : 0);
  const trun = w.beginFull('trun', 1, fields);
  w.u32(track.samples.length);
  const offsetField = w.length;
  w.u32(0);
  for (const sample of track.samples) {
    w.u32(sample.duration);
    w.u32(sample.data.length);
    if (!video) continue;
    w.u32(sample.randomAccess ? SYNC_SAMPLE_FLAGS : NON_SYNC_SAMPLE_FLAGS);
    w.i32(sample.compositionOffset);
  }
  w.end(trun);
  w.end(traf);
  return offsetField;
};
