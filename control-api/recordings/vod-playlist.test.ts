import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CmafSegment, SegmentRecord } from '../../recorder/port.ts';
import { renderVodPlaylist } from './vod-playlist.ts';

const T0 = Date.parse('2026-11-22T10:00:00.000Z');

const cmaf = (n: number, more: Partial<CmafSegment> = {}): CmafSegment => {
  const start = T0 + n * 10_000;
  const segment: SegmentRecord = { id: `cam/${String(start)}-abcd1234-${String(n)}`, camera: 'cam', sessionId: 'abcd1234', epoch: 1, start, duration: 10_000, bytes: 50_000, sha256: 'ab', open: false, tracks: [], gapBefore: null };
  return { segment, initBytes: 800, initDigest: 'a', offset: 1200, length: 40_000, start, duration: 10_000, discontinuity: n === 0, ...more };
};

test('[REC-5] a playlist to the letter: date, map, byte ranges, a discontinuity with its own map, detections, and the token in every URI', () => {
  const segments = [cmaf(0, { start: T0 + 2_000, duration: 8_000, offset: 9_200, length: 32_000 }), cmaf(1), cmaf(3, { discontinuity: true }), cmaf(4, { discontinuity: true, initDigest: 'b', initBytes: 900 })];
  const presences = [{ className: 'a "scratch"\n#EXT', start: T0 + 3_000, end: T0 + 5_000, count: 30, maxConfidence: 0.91234 }];
  expect(renderVodPlaylist({ segments, from: T0 + 2_500, presences, token: 'a b"' })).toBe(`#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:10
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-START:TIME-OFFSET=0.50000,PRECISE=YES
#EXT-X-DATERANGE:ID="a  scratch  #EXT/${String(T0 + 3000)}",CLASS="imageflow.detections",START-DATE="2026-11-22T10:00:03.000Z",DURATION=2.00000,X-CLASS-NAME="a  scratch  #EXT",X-COUNT=30,X-MAX-CONFIDENCE=0.912
#EXT-X-MAP:URI="segments/${String(T0)}-abcd1234-0.mp4?token=a%20b%22",BYTERANGE="800@0"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:00:02.000Z
#EXTINF:8.00000,
#EXT-X-BYTERANGE:32000@9200
segments/${String(T0)}-abcd1234-0.mp4?token=a%20b%22
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:00:10.000Z
#EXTINF:10.00000,
#EXT-X-BYTERANGE:40000@1200
segments/${String(T0 + 10_000)}-abcd1234-1.mp4?token=a%20b%22
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="segments/${String(T0 + 30_000)}-abcd1234-3.mp4?token=a%20b%22",BYTERANGE="800@0"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:00:30.000Z
#EXTINF:10.00000,
#EXT-X-BYTERANGE:40000@1200
segments/${String(T0 + 30_000)}-abcd1234-3.mp4?token=a%20b%22
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="segments/${String(T0 + 40_000)}-abcd1234-4.mp4?token=a%20b%22",BYTERANGE="900@0"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:00:40.000Z
#EXTINF:10.00000,
#EXT-X-BYTERANGE:40000@1200
segments/${String(T0 + 40_000)}-abcd1234-4.mp4?token=a%20b%22
#EXT-X-ENDLIST
`);
});

test('[REC-5] where only some files have sound, the maps of these name them without it, and nothing else changes', () => {
  const heard = (n: number): CmafSegment => {
    const plain = cmaf(n, { discontinuity: n % 2 === 0, initDigest: 'sound' });
    return { ...plain, segment: { ...plain.segment, tracks: [{ kind: 'video', codec: 'avc1', width: 2, height: 2 }, { kind: 'audio', codec: 'opus', width: null, height: null }] } };
  };
  const uris = (segments: readonly CmafSegment[], token: string | null): string[] =>
    [...renderVodPlaylist({ segments, from: T0, presences: [], token }).matchAll(/URI="(.*?)"|^(segments.*)$/gm)].map(([, map, media]) => map ?? media ?? '');
  const file = (n: number): string => `segments/${String(T0 + n * 10_000)}-abcd1234-${String(n)}.mp4`;
  expect(uris([heard(0), heard(1), cmaf(2, { discontinuity: true })], null)).toEqual([`${file(0)}?sound=off`, file(0), file(1), file(2), file(2)]);
  expect(uris([heard(0), cmaf(2, { discontinuity: true })], 't')).toEqual([`${file(0)}?token=t&sound=off`, `${file(0)}?token=t`, `${file(2)}?token=t`, `${file(2)}?token=t`]);
  expect(uris([heard(0), heard(1)], null)).toEqual([file(0), file(0), file(1)]);
});

test('whatever a model calls its classes, each detection stays one line with balanced quotes', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (className) => {
    const lines = renderVodPlaylist({ segments: [cmaf(0)], from: T0, presences: [{ className, start: T0, end: T0 + 1000, count: 1, maxConfidence: 0.5 }], token: null }).split('\n');
    expect(lines).toHaveLength(13);
    expect((lines.find((line) => line.startsWith('#EXT-X-DATERANGE:'))?.match(/"/g) ?? []).length).toBe(8);
  }));
});
