import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LiveWindow } from './live-window.ts';
import { segmentRules } from './segment-rules.ts';
import { SESSION_START, testInit, testPart, testParts } from './testing-parts.ts';

const RULES = segmentRules({ segmentSeconds: 4, keyframeIntervalSeconds: 4 });
const window = (over = {}): LiveWindow => new LiveWindow({ ...RULES, listed: 8, listedIdle: 1, retained: 3, maxBytes: 1 << 30, ...over });
const fill = (w: LiveWindow, parts: ReturnType<typeof testParts>): LiveWindow => {
  for (const part of parts) w.add(part, true);
  return w;
};
const lengths = (w: LiveWindow): number[] => w.segments.map((segment) => segment.duration);

test.each([
  { gopSeconds: 1, expected: [1_000, 4_000, 4_000, 4_000] },
  { gopSeconds: 2, expected: [2_000, 4_000, 4_000, 4_000] },
  { gopSeconds: 3, expected: [3_000, 3_000, 3_000, 3_000] },
  { gopSeconds: 4, expected: [4_000, 4_000, 4_000, 4_000] },
  { gopSeconds: 5, expected: [5_000, 5_000, 5_000, 5_000] },
])('[H7] a GOP of $gopSeconds s makes segments that end at random access and keep TARGETDURATION 5', ({ gopSeconds, expected }) => {
  const w = fill(window(), testParts(150, gopSeconds * 5));
  expect(lengths(w).slice(0, 4)).toEqual(expected.slice(0, 4));
  expect(w.segments.every((segment) => segment.parts[0]?.part.randomAccess)).toBe(true);
});

test('[H7] a GOP longer than TARGETDURATION is cut at a part in its middle, and the segment is no longer than was promised', () => {
  const w = fill(window(), testParts(200, 50));
  for (const duration of lengths(w)) expect(Math.round(duration / 1_000)).toBeLessThanOrEqual(5);
  expect(w.segments.some((segment) => !segment.parts[0]?.part.randomAccess)).toBe(true);
});

test('[H7] whatever the pictures do, no segment is longer than TARGETDURATION when rounded, and numbers go up by one', () => {
  const step = fc.record({ duration: fc.integer({ min: 1, max: 2_200 }), randomAccess: fc.boolean(), beforeRandomAccess: fc.boolean(), discontinuity: fc.boolean(), other: fc.integer({ min: 0, max: 30 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.boolean(), (steps, watched) => {
      const w = window({ maxBytes: 5_000 });
      let last = 0;
      let sequence = 0;
      for (const { other, ...part } of steps) {
        w.add(testPart({ ...part, ...(other === 0 ? { sessionId: 'another' } : {}), ...(other === 1 ? { init: testInit() } : {}) }), watched);
        if (other === 2) w.interrupt();
        for (const segment of w.segments) expect(Math.round(segment.duration / 1_000)).toBeLessThanOrEqual(5);
        const first = w.segments[0]?.msn ?? w.next.msn;
        expect(first).toBeGreaterThanOrEqual(last);
        last = first;
        expect(w.discontinuitySequence).toBeGreaterThanOrEqual(sequence);
        sequence = w.discontinuitySequence;
        expect(w.segments.map((segment) => segment.msn)).toEqual(w.segments.map((_, i) => first + i));
        for (const segment of w.segments) {
          expect(w.get(segment.init.name)?.kind).toBe('init');
          for (const { name } of segment.parts) expect(w.get(name)?.kind).toBe('part');
          if (segment.complete) expect(w.get(segment.name)?.kind).toBe('segment');
        }
      }
    }),
    { numRuns: 60 },
  );
});

test('[H5] the hint names the very next part, also across a segment boundary', () => {
  const w = window();
  let hinted: string | null = null;
  for (const part of testParts(100, 10)) {
    w.add(part, true);
    const newest = w.segments.at(-1)?.parts.at(-1)?.name;
    if (hinted !== null) expect(newest).toBe(hinted);
    hinted = w.hint;
  }
});

test('[H9] segments that left the playlist can be had for a while, then not', () => {
  const w = fill(window(), testParts(60, 20));
  const first = w.segments[0];
  fill(w, testParts(130, 20, 60));
  expect(w.segments.some((segment) => segment === first)).toBe(false);
  expect(w.get(first?.name ?? '')).toBeDefined();
  fill(w, testParts(100, 20, 190));
  expect(w.get(first?.name ?? '')).toBeUndefined();
  expect(w.get(first?.parts[0]?.name ?? '')).toBeUndefined();
  expect(w.get(w.segments[0]?.init.name ?? '')).toBeDefined();
});

test('unwatched, only the last whole segment and the open one are held', () => {
  const w = window();
  for (const part of testParts(205, 20)) w.add(part, false);
  expect(w.segments.map((segment) => segment.complete)).toEqual([true, false]);
  expect(w.bytes).toBe(25 * 100);
});

test('bytes are bounded: the oldest segments go first', () => {
  const w = fill(window({ maxBytes: 4_500 }), testParts(200, 20));
  expect(w.bytes).toBeLessThanOrEqual(4_500);
  expect(w.segments.length).toBeGreaterThan(0);
});

test('[H10] a new epoch begins a new segment with a discontinuity, counted when it leaves the playlist', () => {
  const w = fill(window(), testParts(30, 20));
  w.interrupt();
  expect(w.open).toBeNull();
  const init = testInit();
  fill(w, testParts(10, 20).map((part) => ({ ...part, init, epoch: SESSION_START + 9_000 })));
  expect(w.segments.map((segment) => segment.discontinuity)).toEqual([false, false, true]);
  expect(w.segments.at(-1)?.init.name).not.toBe(w.segments[0]?.init.name);
  expect(w.discontinuitySequence).toBe(0);
  fill(w, testParts(300, 20, 20).map((part) => ({ ...part, init })));
  expect(w.discontinuitySequence).toBe(1);
});

test('a new session replaces the playlist and goes on counting', () => {
  const w = fill(window(), testParts(30, 20));
  const { msn } = w.next;
  w.end();
  expect(w.ended).toBe(true);
  expect(w.hint).toBeNull();
  w.add(testPart({ sessionId: 'ffff0000', randomAccess: true, discontinuity: true }), true);
  expect(w.ended).toBe(false);
  expect(w.segments.map((segment) => [segment.msn, segment.discontinuity])).toEqual([[msn + 1, true]]);
});
