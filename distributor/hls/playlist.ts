/**
 * Playlists of LL-HLS: RFC 8216bis (draft-pantos-hls-rfc8216bis-22). Pure: a window in, text out.
 *
 * URIs end in `QUERY`, a placeholder that `withQuery` replaces by `?token=…` or by nothing, so that a playlist is composed once per part and not
 * once per request. While a publisher is interrupted nothing new appears: no `EXT-X-GAP` is invented for what may come back in a second.
 */
import type { Milliseconds } from '../../core/units.ts';
import { VIDEO_FRAME_RATE_DIGITS, frameRateOf } from './frame-rate.ts';
import type { HlsSegment, LiveWindow } from './live-window.ts';

/** Stands for the query of every URI. */
export const QUERY = '\0';

export interface PlaylistTiming {
  /** EXT-X-TARGETDURATION, milliseconds, whole seconds. */
  readonly targetMs: Milliseconds;
}

/** CAN-SKIP-UNTIL in target durations: the least that §4.4.3.8 allows. */
const SKIP_TARGETS = 6;
/** HOLD-BACK, and how far from the end parts are listed: three target durations (§4.4.3.8, §6.2.2). */
const HOLD_BACK_TARGETS = 3;
const PART_HOLD_BACK_PARTS = 3;

/** Milliseconds as decimal seconds. */
const seconds = (ms: Milliseconds, digits = 5): string => (ms / 1_000).toFixed(digits);

/** The query is the same for every URI of the playlist. `token` null: none. */
export const withQuery = (playlist: string, token: string | null): string => playlist.replaceAll(QUERY, token === null ? '' : `?token=${encodeURIComponent(token)}`);

/** The multivariant playlist: one variant, with the codecs and the size of the newest segment. Null while there is no media. */
export const renderMultivariant = (window: LiveWindow): string | null => {
  const { segments } = window;
  const newest = segments.at(-1);
  if (!newest) return null;
  const { init } = newest.init;
  const whole = segments.filter((segment) => segment.complete && segment.duration > 0);
  const rates = (whole.length > 0 ? whole : segments).map((segment) => (segment.bytes * 8_000) / Math.max(1, segment.duration));
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  const attributes = [`BANDWIDTH=${String(Math.ceil(Math.max(...rates) * 1.1))}`, `AVERAGE-BANDWIDTH=${String(Math.ceil(mean))}`, `CODECS="${init.codecs}"`];
  const { video } = init.tracks;
  if (video) {
    attributes.push(`RESOLUTION=${String(video.width)}x${String(video.height)}`);
    const rate = frameRateOf(newest.parts.length > 1 || segments.length < 2 ? newest : (segments.at(-2) ?? newest));
    if (rate > 0) attributes.push(`FRAME-RATE=${rate.toFixed(VIDEO_FRAME_RATE_DIGITS)}`);
  }
  return `#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-STREAM-INF:${attributes.join(',')}\nvideo.m3u8${QUERY}\n`;
};

export interface MediaPlaylist {
  readonly full: string;
  /** The delta update for `_HLS_skip`; the full playlist when nothing is old enough to be skipped (§6.2.5.1). */
  readonly delta: string;
}

/** The media playlist. */
export const renderMedia = (window: LiveWindow, timing: PlaylistTiming): MediaPlaylist => {
  const { segments } = window;
  const head = header(window, timing);
  const hint = window.hint;
  const foot = window.ended ? '#EXT-X-ENDLIST\n' : hint === null ? '' : `#EXT-X-PRELOAD-HINT:TYPE=PART,URI="${hint}${QUERY}"\n`;

  let skipped = 0;
  let skippable = '';
  let rest = '';
  let untilEnd = segments.reduce((sum, segment) => sum + segment.duration, 0);
  let initName = '';
  let map = ''; // of the first segment that is not skipped: it must be named there as well
  for (const segment of segments) {
    const old = untilEnd - segment.duration > SKIP_TARGETS * timing.targetMs;
    // Parts of before another PART-TARGET could break it: their segments are listed whole.
    const withParts = segment.partTargetMs === window.partTargetMs && untilEnd - segment.duration < HOLD_BACK_TARGETS * timing.targetMs;
    const mapLine = `#EXT-X-MAP:URI="${segment.init.name}${QUERY}"\n`;
    const text = (segment.discontinuity ? '#EXT-X-DISCONTINUITY\n' : '') + (segment.init.name === initName ? '' : mapLine) + segmentText(segment, withParts, !window.ended);
    if (old) {
      skipped++;
      skippable += text;
    } else {
      if (rest === '' && segment.init.name === initName) map = mapLine;
      rest += text;
    }
    initName = segment.init.name;
    untilEnd -= segment.duration;
  }
  const full = head + skippable + rest + foot;
  const delta = skipped === 0 || window.ended ? full : `${head}#EXT-X-SKIP:SKIPPED-SEGMENTS=${String(skipped)}\n${map}${rest}${foot}`;
  return { full, delta };
};

const header = (window: LiveWindow, { targetMs }: PlaylistTiming): string => {
  const { segments, partTargetMs } = window;
  const independent = segments.every((segment) => segment.parts[0]?.part.randomAccess ?? true);
  return [
    '#EXTM3U',
    '#EXT-X-VERSION:9', // EXT-X-SKIP (§8)
    `#EXT-X-TARGETDURATION:${String(targetMs / 1_000)}`,
    `#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=${seconds(PART_HOLD_BACK_PARTS * partTargetMs, 3)},HOLD-BACK=${seconds(HOLD_BACK_TARGETS * targetMs, 1)},CAN-SKIP-UNTIL=${seconds(SKIP_TARGETS * targetMs, 1)}`,
    `#EXT-X-PART-INF:PART-TARGET=${seconds(partTargetMs, 3)}`,
    `#EXT-X-MEDIA-SEQUENCE:${String(segments[0]?.msn ?? window.next.msn)}`,
    `#EXT-X-DISCONTINUITY-SEQUENCE:${String(window.discontinuitySequence)}`,
    ...(independent ? ['#EXT-X-INDEPENDENT-SEGMENTS'] : []),
    '',
  ].join('\n');
};

/** Composed once when the segment is complete; only the open segment and the place where parts end change. */
const complete = new WeakMap<HlsSegment, { readonly withParts: string; readonly without: string }>();

const segmentText = (segment: HlsSegment, withParts: boolean, live: boolean): string => {
  if (!segment.complete) return dateLine(segment) + partLines(segment);
  let texts = complete.get(segment);
  if (!texts) {
    const end = `#EXTINF:${seconds(segment.duration)},\n${segment.name}${QUERY}\n`;
    texts = { withParts: dateLine(segment) + partLines(segment) + end, without: dateLine(segment) + end };
    complete.set(segment, texts);
  }
  return withParts && live ? texts.withParts : texts.without;
};

const dateLine = (segment: HlsSegment): string => `#EXT-X-PROGRAM-DATE-TIME:${new Date(segment.wall).toISOString()}\n`;

const partLines = (segment: HlsSegment): string => {
  let text = '';
  for (const { name, part } of segment.parts) {
    text += `#EXT-X-PART:DURATION=${seconds(part.duration)},URI="${name}${QUERY}"${part.randomAccess ? ',INDEPENDENT=YES' : ''}\n`;
  }
  return text;
};
