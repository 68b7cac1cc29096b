import type { HlsSegment } from './live-window.ts';

/** FRAME-RATE is a decimal rounded to three places (RFC 8216bis §4.4.6.2). */
export const VIDEO_FRAME_RATE_DIGITS = 3;

/** Pictures a second of a segment; 0 when it has none. */
export const frameRateOf = (segment: HlsSegment): number => {
  let pictures = 0;
  for (const { part } of segment.parts) for (const sample of part.samples) if (sample.kind === 'video') pictures++;
  return segment.duration > 0 ? (pictures * 1_000) / segment.duration : 0;
};
