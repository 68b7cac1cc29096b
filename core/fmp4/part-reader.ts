/** Reads `prft` and `moof` boxes (ISO/IEC 14496-12:2022 §8.16.5, §8.8): which samples a part has, when, and where their bytes are. */
import type { Milliseconds } from '../units.ts';
import { FieldReader, childBoxes, malformed, needBox } from './box-reader.ts';
import type { BoxHeader } from './box-reader.ts';
import type { InitTrack } from './init-reader.ts';
import type { SampleColumns } from './sample-columns.ts';

/** A part of ours has a dozen samples; what claims more than this is hostile. */
const MAX_SAMPLES_PER_PART = 65_536;

/** Seconds from the NTP era's start (1900) to Unix's (RFC 5905 §6). */
const NTP_TO_UNIX_SECONDS = 2_208_988_800;

/** The wall clock of a media time. */
export interface ProducerReference {
  readonly trackId: number;
  /** Unix ms at `mediaTime`. */
  readonly wall: Milliseconds;
  /** Ticks of the track's timescale. */
  readonly mediaTime: number;
}

/** Reads the `prft` at `box` of `bytes`. Throws INVALID_ARGUMENT. */
export const readPrft = (bytes: Buffer, box: BoxHeader): ProducerReference => {
  const fields = new FieldReader(bytes, box);
  const { version } = fields.fullBox();
  const trackId = fields.u32();
  const ntpSeconds = fields.u32();
  // What would be before 1970 is era 1, which begins in 2036 (RFC 5905 §6).
  const seconds = ntpSeconds - NTP_TO_UNIX_SECONDS + (ntpSeconds < NTP_TO_UNIX_SECONDS ? 2 ** 32 : 0);
  const fraction = fields.u32();
  return { trackId, wall: seconds * 1000 + (fraction * 1000) / 2 ** 32, mediaTime: version === 0 ? fields.u32() : fields.u64() };
};

/** What `readMoof` says beside the samples. */
export interface MoofSummary {
  /** `mfhd` sequence number. */
  readonly sequence: number;
  /** The samples' bytes lie in the file's [dataStart, dataEnd). */
  readonly dataStart: number;
  readonly dataEnd: number;
}

/**
 * Appends the samples of the `moof` at `moof` of `bytes` to `columns` (one per track of `tracks`, in the same order). Sample offsets are
 * file offsets: `moof` must carry positions in `bytes`, `base` is the file offset of `bytes[0]`. `part` is stored with each sample.
 *
 * Throws INVALID_ARGUMENT for anything malformed, an unknown track, or more than 65,536 samples; the columns may then hold some of them.
 */
export const readMoof = (
  bytes: Buffer,
  moof: BoxHeader,
  base: number,
  tracks: readonly InitTrack[],
  columns: readonly SampleColumns[],
  part: number,
): MoofSummary => {
  const boxes = childBoxes(bytes, moof.payload, moof.end);
  const mfhd = new FieldReader(bytes, needBox(boxes, 'mfhd'));
  mfhd.skip(4);
  const sequence = mfhd.u32();
  const extent = { start: Infinity, end: 0, samples: 0 };
  for (const traf of boxes) {
    if (traf.type === 'traf') readTraf(bytes, traf, moof.start + base, tracks, columns, part, extent);
  }
  if (extent.samples === 0) throw malformed('a moof without samples');
  return { sequence, dataStart: extent.start, dataEnd: extent.end };
};

interface Extent { start: number; end: number; samples: number }

/** `sample_is_non_sync_sample` (§8.8.3.1). */
const NON_SYNC = 0x1_0000;

const readTraf = (
  bytes: Buffer, traf: BoxHeader, moofStart: number, tracks: readonly InitTrack[], columns: readonly SampleColumns[], part: number, extent: Extent,
): void => {
  const boxes = childBoxes(bytes, traf.payload, traf.end);
  const tfhd = new FieldReader(bytes, needBox(boxes, 'tfhd'));
  const { flags } = tfhd.fullBox();
  const id = tfhd.u32();
  const index = tracks.findIndex((track) => track.id === id);
  const track = tracks[index];
  const into = columns[index];
  if (!track || !into) throw malformed('a traf of an unknown track');
  const dataBase = flags & 0x1 ? tfhd.u64() : moofStart;
  if (flags & 0x2) tfhd.skip(4); // sample_description_index: an init has one
  const defaultDuration = flags & 0x8 ? tfhd.u32() : track.defaultDuration;
  const defaultSize = flags & 0x10 ? tfhd.u32() : track.defaultSize;
  const defaultFlags = flags & 0x20 ? tfhd.u32() : track.defaultFlags;
  const tfdt = new FieldReader(bytes, needBox(boxes, 'tfdt'));
  let dts = tfdt.fullBox().version === 1 ? tfdt.u64() : tfdt.u32();
  let next = dataBase;

  for (const box of boxes) {
    if (box.type !== 'trun') continue;
    const trun = new FieldReader(bytes, box);
    const full = trun.fullBox();
    const count = trun.u32();
    const dataOffset = full.flags & 0x1 ? dataBase + trun.i32() : next;
    const firstFlags = full.flags & 0x4 ? trun.u32() : undefined;
    const fieldBytes = 4 * (bit(full.flags, 0x100) + bit(full.flags, 0x200) + bit(full.flags, 0x400) + bit(full.flags, 0x800));
    if (count * fieldBytes > trun.remaining || count > MAX_SAMPLES_PER_PART - extent.samples) throw malformed('more samples than there can be');
    if (dataOffset < 0) throw malformed('sample data before the file');
    let offset = dataOffset;
    for (let i = 0; i < count; i++) {
      const duration = full.flags & 0x100 ? trun.u32() : defaultDuration;
      const size = full.flags & 0x200 ? trun.u32() : defaultSize;
      const ownFlags = full.flags & 0x400 ? trun.u32() : undefined;
      const sampleFlags = (i === 0 ? firstFlags : undefined) ?? ownFlags ?? defaultFlags;
      const composition = full.flags & 0x800 ? (full.version === 0 ? trun.u32() : trun.i32()) : 0;
      into.push(dts, dts + composition, duration, offset, size, (sampleFlags & NON_SYNC) === 0, part);
      dts += duration;
      offset += size;
    }
    extent.samples += count;
    extent.start = Math.min(extent.start, dataOffset);
    extent.end = Math.max(extent.end, offset);
    next = offset;
  }
};

const bit = (flags: number, mask: number): number => (flags & mask ? 1 : 0);
