/**
 * Which boxes of successive pictures are the same object: ByteTrack (Y. Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection
 * Box", ECCV 2022, and its code), class by class. What is detected is associated with the tracks there are by overlap with where each is expected; then
 * what was seen too faintly to count as detected holds tracks that are left. Unlike there, every box detected is a track, and what is left in the end
 * is associated by the filter's own uncertainty, as in DeepSORT (N. Wojke et al., ICIP 2017): at five pictures a second a narrow object whose
 * speed is not known yet overlaps with nothing. Pure: time comes with the pictures.
 */
import { iou } from '../../core/detection.ts';
import type { Box } from '../../core/detection.ts';
import type { Milliseconds } from '../../core/units.ts';
import { assign } from './assignment.ts';
import { BoxMotion } from './box-motion.ts';

export interface Observation {
  readonly classId: number;
  /** 0..1 */
  readonly confidence: number;
  /** In pixels. */
  readonly bbox: Box;
}

/** Overlap above which a box may be a track's: 1 less the distances of ByteTrack's code, for what is detected, faint, and of tracks seen once. */
const MIN_IOU = 0.2;
const MIN_IOU_FAINT = 0.5;
const MIN_IOU_NEW = 0.3;
/** Squared distance beyond which one box in twenty of an object lies: the 0.95 quantile of chi-square with four degrees of freedom. */
const MAX_DISTANCE = 9.4877;
/** A track is found again for so long (ByteTrack's 30 pictures at 30 a second). */
const LOST_MS: Milliseconds = 1000;
/** The same of a detector that sees few pictures. */
const LONGEST_LOST_MS: Milliseconds = 5000;
/** As many boxes as a model gives at most; of more, the most confident. */
const MAX_OBSERVATIONS = 300;
const MAX_TRACKS = 512;

interface Track {
  readonly id: number;
  readonly classId: number;
  readonly motion: BoxMotion;
  /** Where it is expected in the picture at hand. */
  expected: Box;
  seenAt: Milliseconds;
  /** Seen in the latest picture. */
  seen: boolean;
  /** Seen in more than one picture, or there from the first. */
  confirmed: boolean;
}

export class Tracker {
  readonly #nextId: () => number;
  /** By id. */
  #tracks: Track[] = [];
  #at: Milliseconds = -Infinity;

  /** `nextId` gives every new object its number. */
  constructor(nextId: () => number) {
    this.#nextId = nextId;
  }

  /** How many objects are remembered. */
  get size(): number {
    return this.#tracks.length;
  }

  /** What comes next continues nothing. */
  reset(): void {
    this.#tracks = [];
    this.#at = -Infinity;
  }

  /**
   * The ids of what was detected in the picture taken at `at`, one for each; null for those beyond the 300 most confident. `faint`: what was seen, but
   * not confidently enough to be detected. A picture from before the last one begins anew.
   */
  update(at: Milliseconds, detected: readonly Observation[], faint: readonly Observation[]): readonly (number | null)[] {
    if (at < this.#at) this.reset();
    const first = this.#at === -Infinity;
    const before = first ? at : this.#at;
    this.#at = at;
    // At a low rate a picture is as long after the last one: who was missed in one is still there in the next.
    const lostMs = Math.max(LOST_MS, Math.min(LONGEST_LOST_MS, 2.5 * (at - before)));
    const tracks = this.#tracks.filter(({ seenAt }) => at - seenAt <= lostMs);
    const present = tracks.filter(({ seen }) => seen);
    for (const track of tracks) {
      track.expected = track.motion.predict(at, track.seen);
      track.seen = false;
    }
    const candidates = ranked(detected);
    associate(tracks.filter(({ confirmed }) => confirmed), candidates, byOverlap(MIN_IOU), at);
    associate(present.filter(({ confirmed }) => confirmed), ranked(faint), byOverlap(MIN_IOU_FAINT), at);
    associate(present.filter(({ confirmed }) => !confirmed), candidates, byOverlap(MIN_IOU_NEW), at);
    associate(present, candidates, byMotion, at);
    for (const candidate of candidates) {
      const { classId, bbox } = candidate.observation;
      if (candidate.track === null) tracks.push((candidate.track = { id: this.#nextId(), classId, motion: new BoxMotion(at, bbox), expected: bbox, seenAt: at, seen: true, confirmed: first }));
    }
    // What was seen only once is not looked for.
    this.#tracks = bounded(tracks.filter(({ confirmed, seen }) => confirmed || seen));

    const ids = new Array<number | null>(detected.length).fill(null);
    for (const { index, track } of candidates) ids[index] = track?.id ?? null;
    return ids;
  }
}

/** A box that may be a track's. */
interface Candidate {
  readonly observation: Observation;
  /** Where it stood in what was given. */
  readonly index: number;
  track: Track | null;
}

/** In an order that does not depend on that given: the most confident first. */
const ranked = (observations: readonly Observation[]): Candidate[] =>
  observations
    .map((observation, index) => ({ observation, index, track: null }))
    .sort(({ observation: a }, { observation: b }) =>
      b.confidence - a.confidence || a.classId - b.classId || a.bbox.x - b.bbox.x || a.bbox.y - b.bbox.y || a.bbox.width - b.bbox.width || a.bbox.height - b.bbox.height)
    .slice(0, MAX_OBSERVATIONS);

/** How well a box is a track's; not above 0 where it is not. */
type Likeness = (track: Track, box: Box) => number;

const byOverlap = (least: number): Likeness => ({ expected }, box) => iou(expected, box) - least;
const byMotion: Likeness = ({ motion }, box) => MAX_DISTANCE - motion.distance(box);

/** Gives candidates that have no track to tracks that were not seen yet, class by class, so that they are together as like as can be. */
const associate = (tracks: readonly Track[], candidates: readonly Candidate[], likeness: Likeness, at: Milliseconds): void => {
  const open = Map.groupBy(candidates.filter(({ track }) => track === null), ({ observation }) => observation.classId);
  for (const [classId, unseen] of Map.groupBy(tracks.filter((track) => !track.seen), (track) => track.classId)) {
    const seen = open.get(classId);
    if (seen) associateClass(unseen, seen, likeness, at);
  }
};

const associateClass = (tracks: readonly Track[], candidates: readonly Candidate[], likeness: Likeness, at: Milliseconds): void => {
  const columns = candidates.length;
  // A pair that may not be costs as much as none.
  const costs = new Float64Array(tracks.length * columns);
  for (const [row, track] of tracks.entries()) {
    for (const [column, { observation }] of candidates.entries()) costs[row * columns + column] = -Math.max(0, likeness(track, observation.bbox));
  }
  for (const [row, column] of assign({ rows: tracks.length, columns, costs }).entries()) {
    const track = tracks[row];
    const candidate = candidates[column];
    if (!track || !candidate || !((costs[row * columns + column] ?? 0) < 0)) continue;
    candidate.track = track;
    track.motion.correct(candidate.observation.bbox);
    track.seenAt = at;
    track.seen = true;
    track.confirmed = true;
  }
};

/** The tracks seen last, in their order. */
const bounded = (tracks: Track[]): Track[] => {
  if (tracks.length <= MAX_TRACKS) return tracks;
  return tracks.toSorted((a, b) => b.seenAt - a.seenAt || a.id - b.id).slice(0, MAX_TRACKS).sort((a, b) => a.id - b.id);
};
