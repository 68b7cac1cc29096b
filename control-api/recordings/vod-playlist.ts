/** HLS playlist of a recorded range (RFC 8216 §4; draft-pantos-hls-rfc8216bis-22). Pure: what is recorded in, text out. */
import type { Milliseconds } from '../../core/units.ts';
import type { CmafSegment } from '../../recorder/port.ts';
import type { Presence } from '../detections/service.ts';

export interface VodPlaylistInput {
  /** In order, at least one. */
  readonly segments: readonly CmafSegment[];
  /** What was asked for, Unix ms. */
  readonly from: Milliseconds;
  readonly presences: readonly Presence[];
  /** Carried into every URI; null: none. */
  readonly token: string | null;
}

/** A media playlist whose segments are byte ranges of recorded files. Its URIs are relative to `/v1/recordings/{camera}/`. */
export const renderVodPlaylist = ({ segments, from, presences, token }: VodPlaylistInput): string => {
  const query = token === null ? '' : `?token=${encodeURIComponent(token)}`;
  const uri = ({ segment }: CmafSegment): string => `segments/${segment.id.slice(segment.id.indexOf('/') + 1)}.mp4${query}`;
  // A browser's buffer has as many tracks to its end as at its begin (W3C Media Source Extensions §3.5.7): where sound comes and goes, none has any.
  const muted = segments.some(hasSound) && !segments.every(hasSound);
  const init = (segment: CmafSegment): string => (muted && hasSound(segment) ? `${uri(segment)}${token === null ? '?' : '&'}sound=off` : uri(segment));
  const longest = Math.max(...segments.map(({ duration }) => duration));
  const skip = from - (segments[0]?.start ?? from);
  const lines = ['#EXTM3U', '#EXT-X-VERSION:7', `#EXT-X-TARGETDURATION:${String(Math.max(1, Math.ceil(longest / 1000)))}`, '#EXT-X-MEDIA-SEQUENCE:0', '#EXT-X-PLAYLIST-TYPE:VOD'];
  // The first segment begins at a key frame; the asked picture is somewhat later.
  if (skip > 0) lines.push(`#EXT-X-START:TIME-OFFSET=${seconds(skip)},PRECISE=YES`);
  for (const presence of presences) lines.push(dateRange(presence));
  let before: CmafSegment | undefined;
  for (const current of segments) {
    if (before && current.discontinuity) lines.push('#EXT-X-DISCONTINUITY');
    if (before?.initDigest !== current.initDigest || current.discontinuity) lines.push(`#EXT-X-MAP:URI="${init(current)}",BYTERANGE="${String(current.initBytes)}@0"`);
    lines.push(
      `#EXT-X-PROGRAM-DATE-TIME:${new Date(current.start).toISOString()}`, `#EXTINF:${seconds(current.duration)},`,
      `#EXT-X-BYTERANGE:${String(current.length)}@${String(current.offset)}`, uri(current),
    );
    before = current;
  }
  lines.push('#EXT-X-ENDLIST', '');
  return lines.join('\n');
};

const hasSound = ({ segment: { tracks } }: CmafSegment): boolean => tracks.some(({ kind }) => kind === 'audio');

/** §4.4.5.1. A class name is whatever a model calls it: what may not stand in a quoted string is replaced. */
const dateRange = ({ className, start, end, count, maxConfidence }: Presence): string => {
  const name = className.replace(/["\r\n\0]/g, ' ');
  return `#EXT-X-DATERANGE:ID="${name}/${String(start)}",CLASS="imageflow.detections",START-DATE="${new Date(start).toISOString()}",DURATION=${seconds(end - start)},`
    + `X-CLASS-NAME="${name}",X-COUNT=${String(count)},X-MAX-CONFIDENCE=${maxConfidence.toFixed(3)}`;
};

const seconds = (ms: Milliseconds): string => (ms / 1000).toFixed(5);
