/** Where LL-HLS segments end, and the TARGETDURATION that a playlist promises up front (RFC 8216bis §4.4.3.1). */
import type { Milliseconds } from '../../core/units.ts';
import type { Part } from '../../muxer/port.ts';

export interface SegmentRules {
  /** `hls.segment_seconds` as milliseconds: a segment ends at the first random access point after it. */
  readonly segmentMs: Milliseconds;
  /** `EXT-X-TARGETDURATION` as milliseconds. */
  readonly targetMs: Milliseconds;
}

/** What the configuration says, in seconds as there. */
export interface HlsTiming {
  readonly segmentSeconds: number;
  readonly keyframeIntervalSeconds: number;
}

/** `EXTINF` counts rounded to whole seconds against TARGETDURATION (§4.4.4.1): so much may be over. */
const ROUNDING_MS = 400;
/** Timestamps jitter: a GOP this little short of `segmentMs` ends a segment. */
const TOLERANCE_MS = 50;

/**
 * TARGETDURATION must never change, so it follows from the configuration alone: the longer of segment and key frame interval (a segment of whole
 * GOPs can be that long), rounded up, and one second for a key frame that comes late.
 */
export const segmentRules = ({ segmentSeconds, keyframeIntervalSeconds }: HlsTiming): SegmentRules => ({
  segmentMs: segmentSeconds * 1_000,
  targetMs: (Math.ceil(Math.max(segmentSeconds, keyframeIntervalSeconds)) + 1) * 1_000,
});

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
  return duration + Math.max(part.duration, part.targetMs) > longest(rules);
};

/** Whether the segment, `duration` long, must end before `part` is added, because it turned out longer than those before. */
export const segmentClosesBefore = (duration: Milliseconds, part: Part, rules: SegmentRules): boolean => duration + part.duration > longest(rules);
