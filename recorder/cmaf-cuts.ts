/**
 * A range as CMAF segments: which bytes of which recorded files they are. A recorded file is a CMAF segment as it lies; only the first and the
 * last of a range are cut, at parts: those of the key frame before `from` and of the last picture before `to`.
 */
import type { Milliseconds } from '../core/units.ts';
import type { CmafSegment, PlaybackRange, SegmentRecord } from './port.ts';
import type { IndexedTrack, SegmentIndex } from './segment-scan.ts';

/** What the playlist must know of a file's beginning. */
export interface CmafHead {
  readonly initBytes: number;
  /** Equal for equal init segments. */
  readonly initDigest: string;
  readonly mediaStart: number;
}

export type WholeSegment = Omit<CmafSegment, 'discontinuity'>;

/** All of a file. */
export const wholeSegment = (segment: SegmentRecord, { initBytes, initDigest, mediaStart }: CmafHead): WholeSegment => ({
  segment, initBytes, initDigest, offset: mediaStart, length: segment.bytes - mediaStart, start: segment.start, duration: segment.duration,
});

/** What of a whole segment is in the range; the same when nothing can be cut, undefined when no picture of it is in the range. */
export const cutSegment = (whole: WholeSegment, index: SegmentIndex, { from, to }: PlaybackRange): WholeSegment | undefined => {
  const primary = index.tracks.find(({ track, samples }) => track.kind === 'video' && samples.length > 0) ?? index.tracks.find(({ samples }) => samples.length > 0);
  if (!primary) return undefined;
  const first = firstSample(index, primary, from);
  const lastPart = partBefore(index, primary, to);
  const firstPart = primary.samples.part[first] ?? 0;
  if (lastPart < firstPart) return undefined;
  const ends = partEnds(index);
  const offset = firstPart === 0 ? whole.offset : ends[firstPart - 1] ?? whole.offset;
  // A later cut than the index tells of does not exist: the bytes behind the last part are the file's own index.
  const end = ends[lastPart] ?? whole.offset + whole.length;
  return { ...whole, offset, length: end - offset, start: wallOf(index, primary, first), duration: lengthOf(primary, first, lastPart) };
};

/** Marks where media time or the init segment does not simply go on. */
export const withDiscontinuities = (segments: readonly WholeSegment[], listed: readonly SegmentRecord[]): CmafSegment[] => {
  const place = new Map(listed.map(({ id }, i) => [id, i]));
  return segments.map((current, i): CmafSegment => {
    const before = segments[i - 1];
    const follows = before === undefined || (
      before.initDigest === current.initDigest && before.segment.sessionId === current.segment.sessionId && before.segment.epoch === current.segment.epoch
      && (current.segment.gapBefore ?? 0) <= 0 && (place.get(current.segment.id) ?? 0) === (place.get(before.segment.id) ?? 0) + 1);
    return { ...current, discontinuity: !follows };
  });
};

const wallOf = (index: SegmentIndex, { track, samples }: IndexedTrack, i: number): Milliseconds => (index.wallAtZero[samples.part[i] ?? 0] ?? 0) + ((samples.pts[i] ?? 0) * 1000) / track.timescale;

/** The last random access sample up to `from` that begins a part; 0 when there is none. */
const firstSample = (index: SegmentIndex, primary: IndexedTrack, from: Milliseconds): number => {
  const { samples } = primary;
  let found = 0;
  for (let i = 1; i < samples.length; i++) {
    if (samples.sync[i] === 1 && samples.part[i] !== samples.part[i - 1] && wallOf(index, primary, i) <= from) found = i;
  }
  return found;
};

/** The part of the last sample that begins before `to`; −1 when none does. */
const partBefore = (index: SegmentIndex, primary: IndexedTrack, to: Milliseconds): number => {
  let part = -1;
  for (let i = 0; i < primary.samples.length; i++) if (wallOf(index, primary, i) < to) part = Math.max(part, primary.samples.part[i] ?? 0);
  return part;
};

/** Where each part's bytes end in the file. */
const partEnds = ({ tracks, wallAtZero }: SegmentIndex): number[] => {
  const ends = wallAtZero.map(() => 0);
  for (const { samples } of tracks) {
    for (let i = 0; i < samples.length; i++) {
      const part = samples.part[i] ?? 0;
      ends[part] = Math.max(ends[part] ?? 0, (samples.offset[i] ?? 0) + (samples.bytes[i] ?? 0));
    }
  }
  return ends;
};

/** From sample `first` to the end of part `lastPart`. */
const lengthOf = ({ track, samples }: IndexedTrack, first: number, lastPart: number): Milliseconds => {
  const begin = samples.dts[first] ?? 0;
  let end = begin;
  for (let i = first; i < samples.length && (samples.part[i] ?? 0) <= lastPart; i++) end = Math.max(end, (samples.dts[i] ?? 0) + (samples.duration[i] ?? 0));
  return ((end - begin) * 1000) / track.timescale;
};
