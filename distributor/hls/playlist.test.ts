import { expect, test } from 'vitest';
import { LiveWindow } from './live-window.ts';
import { renderMedia, renderMultivariant, withQuery } from './playlist.ts';
import { segmentRules } from './segment-rules.ts';
import { SESSION_START, testInit, testPart, testParts } from './testing-parts.ts';

const RULES = segmentRules({ segmentSeconds: 1, keyframeIntervalSeconds: 0.5 });
const TIMING = { targetMs: RULES.targetMs };
const window = (): LiveWindow => new LiveWindow({ ...RULES, listed: 20, listedIdle: 1, retained: 3, maxBytes: 1 << 30 });

/** Media sequence numbers count from 2020, in seconds. */
const FIRST = 172_163_200;
const text = (playlist: string): string => withQuery(playlist, null);

test('[H1 H2 H5 H7 H11] a young playlist, to the letter', () => {
  const w = window();
  for (const part of testParts(7, 5)) w.add(part, true);
  expect(text(renderMedia(w, TIMING).full)).toBe(`#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.615,HOLD-BACK=6.0,CAN-SKIP-UNTIL=12.0
#EXT-X-PART-INF:PART-TARGET=0.205
#EXT-X-MEDIA-SEQUENCE:${String(FIRST)}
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="init-abcd1234-172163200.mp4"
#EXT-X-PROGRAM-DATE-TIME:2025-06-15T15:06:40.000Z
#EXT-X-PART:DURATION=0.20000,URI="part-abcd1234-${String(FIRST)}.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.20000,URI="part-abcd1234-${String(FIRST)}.1.m4s"
#EXT-X-PART:DURATION=0.20000,URI="part-abcd1234-${String(FIRST)}.2.m4s"
#EXT-X-PART:DURATION=0.20000,URI="part-abcd1234-${String(FIRST)}.3.m4s"
#EXT-X-PART:DURATION=0.20000,URI="part-abcd1234-${String(FIRST)}.4.m4s"
#EXTINF:1.00000,
seg-abcd1234-${String(FIRST)}.m4s
#EXT-X-PROGRAM-DATE-TIME:2025-06-15T15:06:41.000Z
#EXT-X-PART:DURATION=0.20000,URI="part-abcd1234-${String(FIRST + 1)}.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.20000,URI="part-abcd1234-${String(FIRST + 1)}.1.m4s"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="part-abcd1234-${String(FIRST + 1)}.2.m4s"
`);
});

test('[H4] a delta update skips what is more than CAN-SKIP-UNTIL from the end, and nothing else', () => {
  const w = window();
  for (const part of testParts(80, 5)) w.add(part, true);
  const { full, delta } = renderMedia(w, TIMING);
  expect([...delta.matchAll(/#EXT-X-SKIP:SKIPPED-SEGMENTS=(\d+)/g)].map((match) => match[1])).toEqual(['3']);
  const segmentsOf = (playlist: string): string[] => playlist.split('\n').filter((line) => line.startsWith('seg-'));
  expect(segmentsOf(full)).toHaveLength(16);
  expect(segmentsOf(delta)).toEqual(segmentsOf(full).slice(3));
  expect(delta).toContain('#EXT-X-MAP');
});

test('[H4] with nothing old enough to skip, the delta update is the whole playlist', () => {
  const w = window();
  for (const part of testParts(20, 5)) w.add(part, true);
  const { full, delta } = renderMedia(w, TIMING);
  expect(delta).toBe(full);
});

test('[H9] parts are listed up to three target durations from the end', () => {
  const w = window();
  for (const part of testParts(75, 5)) w.add(part, true);
  const { full } = renderMedia(w, TIMING);
  const withParts = new Set([...full.matchAll(/#EXT-X-PART:.*?part-abcd1234-(\d+)\./g)].map((match) => Number(match[1])));
  expect([...withParts].length).toBe(6);
});

test('[H10] a new epoch is a discontinuity with its own init segment and date', () => {
  const w = window();
  for (const part of testParts(7, 5)) w.add(part, true);
  w.interrupt();
  w.add(testPart({ init: testInit(), discontinuity: true, randomAccess: true, wall: SESSION_START + 60_000 }), true);
  expect(text(renderMedia(w, TIMING).full)).toContain(`#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="init-abcd1234-172163202.mp4"
#EXT-X-PROGRAM-DATE-TIME:2025-06-15T15:07:40.000Z
#EXT-X-PART:DURATION=0.20000,URI="part-abcd1234-${String(FIRST + 2)}.0.m4s",INDEPENDENT=YES
`);
});

test('an ended session ends its playlist: no parts, no hint, no delta', () => {
  const w = window();
  for (const part of testParts(80, 5)) w.add(part, true);
  w.end();
  const { full, delta } = renderMedia(w, TIMING);
  expect(full.endsWith('#EXT-X-ENDLIST\n')).toBe(true);
  expect(full).not.toMatch(/PRELOAD-HINT|EXT-X-PART:/);
  expect(delta).toBe(full);
});

test('the multivariant playlist tells codecs, size, rates and the token', () => {
  const w = window();
  expect(renderMultivariant(w)).toBeNull();
  for (const part of testParts(7, 5)) w.add(part, true);
  expect(withQuery(renderMultivariant(w) ?? '', 'a b+c/d=')).toBe(`#EXTM3U
#EXT-X-VERSION:9
#EXT-X-STREAM-INF:BANDWIDTH=4400,AVERAGE-BANDWIDTH=4000,CODECS="avc1.64001f",RESOLUTION=1280x720,FRAME-RATE=25.000
video.m3u8?token=a%20b%2Bc%2Fd%3D
`);
});

test('a token is in every URI, encoded so that it cannot end the line or the quote', () => {
  const w = window();
  for (const part of testParts(7, 5)) w.add(part, true);
  const playlist = withQuery(renderMedia(w, TIMING).full, '"\n#EXT $&');
  expect(playlist.split('\n').filter((line) => line.includes('.m4s') || line.includes('.mp4')).every((line) => line.includes('?token=%22%0A%23EXT%20%24%26'))).toBe(true);
  expect(playlist).not.toContain('\0');
});

test('[H1] a camera whose rate changes for good gets another PART-TARGET: at a discontinuity, and no part is listed that breaks it', () => {
  const w = window();
  for (const part of testParts(28, 5)) w.add(part, true);
  const slow = testParts(8, 4, 28).map((part) => ({ ...part, duration: 250, targetMs: 255 }));
  for (const part of slow) w.add(part, true);
  const playlist = text(renderMedia(w, TIMING).full);
  expect(playlist).toContain('PART-HOLD-BACK=0.765');
  expect(playlist).toContain('#EXT-X-PART-INF:PART-TARGET=0.255');
  expect([...playlist.matchAll(/EXT-X-PART:DURATION=([\d.]+)/g)].map((match) => match[1])).toEqual(slow.map(() => '0.25000'));
  expect(playlist.split('#EXT-X-DISCONTINUITY\n')).toHaveLength(2);
  expect(playlist.match(/#EXTINF:/g)).toHaveLength(8); // five whole ones, one cut short, two of the new rate: nobody's video stops
  expect(playlist).toContain('#EXTINF:0.60000,');
});
