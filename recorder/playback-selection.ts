/**
 * Which samples a time range of a recording is made of. Pure: indexes in, sample ranges out.
 *
 * First picture = the one whose wall time is nearest to `from`, if that is at most half a frame away, else the one being shown at `from`, else
 * (nothing was recorded then) the next. Last picture = the last one that begins before `to`. The file additionally begins at the key frame
 * before the first picture and ends with whatever the last one needs; an edit list hides both.
 */
import { MediaError } from '../core/errors.ts';
import type { ProgressiveSource, ProgressiveWindow, SampleRange } from '../core/fmp4/progressive.ts';
import type { Milliseconds } from '../core/units.ts';
import type { IndexedTrack, SegmentIndex } from './segment-index.ts';

export interface Selection {
  /** Index into the given segments of each source. */
  readonly segments: readonly number[];
  readonly sources: readonly ProgressiveSource[];
  readonly window: ProgressiveWindow;
  /** Wall time of the first and last picture displayed. */
  readonly firstWall: Milliseconds;
  readonly lastWall: Milliseconds;
}

/** Opus needs 80 ms (RFC 7845 §4.6), AAC one frame before a sample decodes to what it was. */
const AUDIO_PREROLL: Milliseconds = 80;
/** A shown picture's time may be this much longer than its duration says before we call it a gap. */
const GAP_TOLERANCE: Milliseconds = 50;
/** Within an epoch a playback may depart so far from wall time: the burst of a publisher, or some hours of a camera's clock. */
const DRIFT_TOLERANCE: Milliseconds = 1_000;

/** One segment on the shared timeline. */
export interface Placed {
  readonly index: SegmentIndex;
  readonly primary: IndexedTrack;
  readonly primaryAt: number;
  readonly shift: Milliseconds;
}

export interface Picture {
  readonly segment: number;
  readonly sample: number;
  readonly wall: Milliseconds;
}

/** Selects [from, to) out of `indexes` (one camera's segments in order). Throws NOT_FOUND when no picture is in the range. */
export const selectRange = (indexes: readonly SegmentIndex[], from: Milliseconds, to: Milliseconds): Selection => {
  const placed = place(indexes);
  const first = firstPicture(placed, from);
  if (!first || first.wall >= to) throw new MediaError('NOT_FOUND', 'nothing was recorded in this range', { reason: 'NOTHING_RECORDED' });
  const last = lastPicture(placed, to, first);
  const begin = decodeStart(placed, first);
  const window = { start: timelineOf(placed, first), end: displayEnd(placed, last) };

  const segments: number[] = [];
  const sources: ProgressiveSource[] = [];
  placed.forEach(({ index, shift, primary, primaryAt }, segment) => {
    if (segment < begin.segment || segment > last.segment) return;
    const ranges = index.tracks.map((track, t): SampleRange => {
      if (t !== primaryAt) return overlapping(track, shift, window);
      return {
        first: segment === begin.segment ? begin.sample : 0,
        last: segment === last.segment ? decodedUntil(primary, placed, last) : primary.samples.length,
      };
    });
    if (ranges.every((range) => range.first >= range.last)) return;
    segments.push(segment);
    sources.push({ tracks: index.tracks.map(({ track }) => track), samples: index.tracks.map(({ samples }) => samples), ranges, shift });
  });
  return { segments, sources, window, firstWall: first.wall, lastWall: last.wall };
};

export const ptsMs = ({ track, samples }: IndexedTrack, i: number): Milliseconds => ((samples.pts[i] ?? 0) * 1000) / track.timescale;
const durationMs = ({ track, samples }: IndexedTrack, i: number): Milliseconds => ((samples.duration[i] ?? 0) * 1000) / track.timescale;
export const wallOf = (index: SegmentIndex, track: IndexedTrack, i: number): Milliseconds => (index.wallAtZero[track.samples.part[i] ?? 0] ?? 0) + ptsMs(track, i);

/**
 * Puts segment after segment on the timeline of the first. Within an epoch media time goes on by itself, tick for tick as it was pushed: a publisher
 * that began with a burst is slewed on the wall clock for some seconds, and that must not bend its pictures' distances. Another session or epoch, or
 * a clock that has drifted from the server's by more than `DRIFT_TOLERANCE`, is moved to where its wall time says.
 */
export class Placer {
  #origin: Milliseconds | undefined;
  #shift: Milliseconds = 0;
  #sessionId = '';
  #epoch = Number.NaN;
  #end: Milliseconds = -Infinity;

  /** Undefined for one that was opened, but whose first part is not there yet. */
  place(index: SegmentIndex): Placed | undefined {
    const primaryAt = Math.max(0, index.tracks.findIndex(({ track, samples }) => track.kind === 'video' && samples.length > 0));
    const primary = index.tracks[primaryAt];
    if (!primary || primary.samples.length === 0) return undefined;
    const wallAtZero = index.wallAtZero[0] ?? 0;
    this.#origin ??= wallAtZero;
    const ideal = wallAtZero - this.#origin;
    const tolerance = index.info.epoch === this.#epoch ? DRIFT_TOLERANCE : Math.max(1, durationMs(primary, 0));
    const moved = index.info.sessionId !== this.#sessionId || Math.abs(ideal - this.#shift) > tolerance;
    if (moved) this.#shift = ideal;
    // What is moved may overlap what came before by some milliseconds of wall time; pictures do not.
    const start = ptsMs(primary, 0) + this.#shift;
    if (start < this.#end && moved) this.#shift += this.#end - start;
    this.#sessionId = index.info.sessionId;
    this.#epoch = index.info.epoch;
    this.#end = segmentEnd(primary) + this.#shift;
    return { index, primary, primaryAt, shift: this.#shift };
  }
}

export const place = (indexes: readonly SegmentIndex[]): Placed[] => {
  const placer = new Placer();
  return indexes.flatMap((index) => placer.place(index) ?? []);
};

const segmentEnd = (track: IndexedTrack): Milliseconds => {
  let end: Milliseconds = 0;
  for (let i = Math.max(0, track.samples.length - REORDER); i < track.samples.length; i++) end = Math.max(end, ptsMs(track, i) + durationMs(track, i));
  return end;
};

/** Within a segment a wall clock is slewed by far less. */
const SLEW: Milliseconds = 1_000;
/** H.264 reorders within 16 pictures at most (§A.3.1, MaxDpbFrames). */
const REORDER = 17;

export const firstPicture = (placed: readonly Placed[], from: Milliseconds): Picture | undefined => {
  let before: Picture | undefined;
  let after: Picture | undefined;
  for (const segment of nearest(placed, from)) {
    const { index, primary } = placed[segment] ?? {};
    if (!index || !primary) continue;
    for (let sample = 0; sample < primary.samples.length; sample++) {
      const wall = wallOf(index, primary, sample);
      if (wall <= from) {
        if (!before || wall >= before.wall) before = { segment, sample, wall };
      } else if (!after || wall < after.wall) after = { segment, sample, wall };
    }
  }
  if (!before || !after) return before && from - before.wall < frameOf(placed, before) + GAP_TOLERANCE ? before : after;
  const shown = from - before.wall < frameOf(placed, before) + GAP_TOLERANCE;
  const nextIsNearer = after.wall - from < from - before.wall;
  return shown && !nextIsNearer ? before : after.wall - from <= frameOf(placed, after) / 2 || !shown ? after : before;
};

/**
 * The segments that may hold the pictures next to `moment`, in order: those whose times reach over it, the last before and the first after. A range
 * of hours has a million samples in thousands of segments, and these are all that must be looked at one by one.
 */
const nearest = (placed: readonly Placed[], moment: Milliseconds): number[] => {
  const chosen = new Set<number>();
  let before = -1;
  let after = -1;
  const spans = placed.map(spanOf);
  spans.forEach(({ from, to }, i) => {
    if (from <= moment && moment <= to) chosen.add(i);
    else if (to < moment && (before < 0 || to >= (spans[before]?.to ?? Infinity))) before = i;
    else if (from > moment && (after < 0 || from < (spans[after]?.from ?? -Infinity))) after = i;
  });
  for (const i of [before, after]) if (i >= 0) chosen.add(i);
  return [...chosen].sort((a, b) => a - b);
};

/** Wall times that hold all its pictures. */
const spanOf = ({ index, primary }: Placed): { readonly from: Milliseconds; readonly to: Milliseconds } => {
  const { length } = primary.samples;
  let from = Infinity;
  let to = -Infinity;
  for (let i = 0; i < length; i++) {
    if (i === REORDER && length > 2 * REORDER) i = length - REORDER;
    const wall = wallOf(index, primary, i);
    from = Math.min(from, wall);
    to = Math.max(to, wall);
  }
  return { from: from - SLEW, to: to + SLEW };
};

/** The last picture of the last segment that begins before `to`. */
const lastPicture = (placed: readonly Placed[], to: Milliseconds, first: Picture): Picture => {
  for (let segment = placed.length - 1; segment >= first.segment; segment--) {
    const { index, primary } = placed[segment] ?? {};
    let last: Picture | undefined = segment === first.segment ? first : undefined;
    for (let sample = 0; index && primary && sample < primary.samples.length; sample++) {
      const wall = wallOf(index, primary, sample);
      if (wall < to && (!last || wall > last.wall)) last = { segment, sample, wall };
    }
    if (last) return last;
  }
  return first;
};

export const frameOf = (placed: readonly Placed[], { segment, sample }: Picture): Milliseconds => {
  const primary = placed[segment]?.primary;
  return primary ? durationMs(primary, sample) : 0;
};

const timelineOf = (placed: readonly Placed[], { segment, sample }: Picture): Milliseconds => {
  const at = placed[segment];
  return at ? ptsMs(at.primary, sample) + at.shift : 0;
};

/** Where the last picture's time ends: at the next one in display order, else after its duration. */
const displayEnd = (placed: readonly Placed[], last: Picture): Milliseconds => {
  const at = placed[last.segment];
  if (!at) return 0;
  const pts = ptsMs(at.primary, last.sample);
  let end = Infinity;
  const { samples } = at.primary;
  for (let i = Math.max(0, last.sample - REORDER); i < Math.min(samples.length, last.sample + REORDER); i++) {
    const other = ptsMs(at.primary, i);
    if (other > pts) end = Math.min(end, other);
  }
  return (end === Infinity ? pts + durationMs(at.primary, last.sample) : end) + at.shift;
};

/**
 * The random access sample decoding must begin at to show `first`. A file may begin in the middle of a GOP (audio joined, so the tracks
 * changed); its pictures then need the end of the file before.
 */
export const decodeStart = (placed: readonly Placed[], first: Picture): { readonly segment: number; readonly sample: number } => {
  let { segment, sample } = first;
  for (;;) {
    const at = placed[segment];
    while (at && sample > 0 && at.primary.samples.sync[sample] === 0) sample--;
    const before = placed[segment - 1];
    if (!at || !before || at.primary.samples.sync[sample] === 1) return { segment, sample };
    if (before.index.info.sessionId !== at.index.info.sessionId || before.index.info.epoch !== at.index.info.epoch) return { segment, sample };
    segment--;
    sample = before.primary.samples.length - 1;
  }
};

/** One past the last sample, in decode order, that is displayed up to `last`. */
const decodedUntil = (primary: IndexedTrack, placed: readonly Placed[], last: Picture): number => {
  const limit = ptsMs(primary, last.sample);
  let until = last.sample + 1;
  for (let i = until; i < Math.min(primary.samples.length, last.sample + REORDER); i++) {
    if (ptsMs(primary, i) <= limit) until = i + 1;
  }
  return until;
};

/** The samples of a secondary track that sound in the window, and what their decoder needs before. */
const overlapping = (track: IndexedTrack, shift: Milliseconds, window: ProgressiveWindow): SampleRange => {
  const { samples } = track;
  const at = (time: Milliseconds): number => {
    let low = 0;
    for (let high = samples.length; low < high;) {
      const middle = (low + high) >>> 1;
      if (ptsMs(track, middle) + durationMs(track, middle) + shift <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const last = at(window.end);
  const straddles = last < samples.length && ptsMs(track, last) + shift < window.end;
  return { first: at(window.start - AUDIO_PREROLL), last: straddles ? last + 1 : last };
};
