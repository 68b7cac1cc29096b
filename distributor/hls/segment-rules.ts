/** Where LL-HLS segments end, and the durations a playlist promises up front (RFC 8216bis §4.4.3.1, §4.4.3.7, §4.4.3.8). */
import type { Milliseconds } from '../../core/units.ts';
import type { Part } from '../../muxer/port.ts';

export interface SegmentRules {
  /** `hls.segment_seconds` as milliseconds: a segment ends at the first random access point after it. */
  readonly segmentMs: Milliseconds;
  /** `EXT-X-TARGETDURATION` as milliseconds. */
  readonly targetMs: Milliseconds;
  /** `media.part_ms`. */
  readonly partMs: Milliseconds;
}

/** What the configuration says, in seconds and milliseconds as there. */
export interface HlsTiming {
  readonly segmentSeconds: number;
  readonly keyframeIntervalSeconds: number;
  readonly partMs: number;
}

/** A part lasts at least 85 % of PART-TARGET (§4.4.4.9); the muxer closes it at the first picture after `part_ms`, so this leaves room for one more picture. */
const SHORTEST_PART = 0.85;
/** How far a part may be from `part_ms` on account of rounding and slight jitter. */
const PART_TOLERANCE_MS = 5;
/** Pictures whose steps differ by less are steady. */
const STEADY_MS = 1;
/** `EXTINF` counts rounded to whole seconds against TARGETDURATION (§4.4.4.1): so much may be over. */
const ROUNDING_MS = 400;
/** Timestamps jitter: a GOP this little short of `segmentMs` ends a segment. */
const TOLERANCE_MS = 50;

/**
 * TARGETDURATION must never change, so it follows from the configuration alone: the longer of segment and key frame interval (a segment of whole
 * GOPs can be that long), rounded up, and one second for a key frame that comes late.
 */
export const segmentRules = ({ segmentSeconds, keyframeIntervalSeconds, partMs }: HlsTiming): SegmentRules => ({
  segmentMs: segmentSeconds * 1_000,
  targetMs: (Math.ceil(Math.max(segmentSeconds, keyframeIntervalSeconds)) + 1) * 1_000,
  partMs,
});

/**
 * PART-TARGET of a session, which must not change while it lasts, from its first part. Steady pictures (a camera that counts its own) make parts
 * of one length, and that is it; jittering ones (a browser's) make parts of `part_ms` or one picture more. A camera of few pictures a second has parts
 * of one picture, longer than `part_ms`. Should pictures be lost later on, a part may be longer than was promised: better than a hold-back of 100 ms
 * more for everybody all the time.
 */
export const partTarget = (rules: SegmentRules, first: Part): Milliseconds => {
  const roomy = Math.floor(rules.partMs / SHORTEST_PART);
  const kind = first.init.tracks.video ? 'video' : 'audio';
  const rate = first.init.tracks[kind]?.clockRate ?? 1_000;
  const steps = first.samples.filter((sample) => sample.kind === kind).map((sample) => (sample.duration * 1_000) / rate);
  const longestStep = Math.max(0, ...steps);
  const steady = steps.length > 1 && longestStep - Math.min(...steps) < STEADY_MS;
  if (!steady) return Math.max(roomy, first.duration > roomy ? Math.ceil(first.duration * 1.1) : 0);
  const perPart = Math.max(1, Math.ceil((rules.partMs - PART_TOLERANCE_MS) / longestStep));
  return Math.ceil(perPart * longestStep + PART_TOLERANCE_MS);
};

/** The longest a segment may be. */
const longest = (rules: SegmentRules): Milliseconds => rules.targetMs + ROUNDING_MS;

/**
 * Whether the segment ends after `part`, its newest, now that it is `duration` long. It does at a random access point once it is long enough, and
 * earlier if one more GOP (of `gop`, the length of the last) would overrun TARGETDURATION. A GOP longer than TARGETDURATION is cut at a part in its
 * middle: the next segment then is not independent, which HLS allows and its parts say, and TARGETDURATION holds. The `first` segment of a session
 * ends at the first random access point, because players cannot begin before there is a whole segment.
 */
export const segmentClosesAfter = (duration: Milliseconds, gop: Milliseconds, first: boolean, part: Part, rules: SegmentRules): boolean => {
  if (part.beforeRandomAccess && (first || duration >= rules.segmentMs - TOLERANCE_MS || duration + gop > longest(rules))) return true;
  return duration + Math.max(part.duration, rules.partMs / SHORTEST_PART) > longest(rules);
};

/** Whether the segment, `duration` long, must end before `part` is added, because it turned out longer than those before. */
export const segmentClosesBefore = (duration: Milliseconds, part: Part, rules: SegmentRules): boolean => duration + part.duration > longest(rules);
