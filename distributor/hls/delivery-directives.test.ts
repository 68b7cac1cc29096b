import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MediaError } from '../../core/errors.ts';
import { isSatisfied, parseDirectives, refuseFarAhead } from './delivery-directives.ts';
import { LiveWindow } from './live-window.ts';
import { segmentRules } from './segment-rules.ts';
import { testParts } from './testing-parts.ts';

/** Five whole segments of five parts, and two parts of the sixth. */
const window = (): LiveWindow => {
  const w = new LiveWindow({ ...segmentRules({ segmentSeconds: 1, keyframeIntervalSeconds: 0.5 }), listed: 8, listedIdle: 1, retained: 3, maxBytes: 1 << 30 });
  for (const part of testParts(27, 5)) w.add(part, true);
  return w;
};
const OPEN = window().next.msn;
const ask = (msn: number, part: number | null) => ({ msn, part, skip: false });

test.each([
  { what: 'a segment long whole', msn: OPEN - 4, part: null, now: true },
  { what: 'the last whole segment', msn: OPEN - 1, part: null, now: true },
  { what: 'the segment being received', msn: OPEN, part: null, now: false },
  { what: 'the newest part', msn: OPEN, part: 1, now: true },
  { what: 'the next part', msn: OPEN, part: 2, now: false },
  { what: 'a part past the end of a whole segment, which stands for the first of the next', msn: OPEN - 1, part: 9, now: true },
  { what: 'the first part of the segment to come', msn: OPEN + 1, part: 0, now: false },
])('[H3] $what: answered at once is $now', ({ msn, part, now }) => {
  expect(isSatisfied(window(), ask(msn, part))).toBe(now);
});

test('[H3] a part past the end waits for the next segment when that has none yet', () => {
  const w = window();
  for (const part of testParts(3, 5, 27)) w.add(part, true);
  expect(w.next).toEqual({ msn: OPEN + 1, part: 0 });
  expect(isSatisfied(w, ask(OPEN, 4))).toBe(true);
  expect(isSatisfied(w, ask(OPEN, 5))).toBe(false);
  w.add(testParts(1, 5, 30)[0] ?? expect.fail(), true);
  expect(isSatisfied(w, ask(OPEN, 5))).toBe(true);
});

test.each([
  { msn: OPEN + 1, part: null, refused: false },
  { msn: OPEN + 2, part: null, refused: true },
  { msn: OPEN, part: 1 + 15, refused: false },
  { msn: OPEN, part: 1 + 16, refused: true },
  { msn: OPEN - 1, part: 100, refused: false },
])('[H3] msn $msn part $part: too far ahead is $refused', ({ msn, part, refused }) => {
  const attempt = (): void => { refuseFarAhead(window(), ask(msn, part)); };
  if (refused) expect(attempt).toThrow(MediaError);
  else expect(attempt).not.toThrow();
});

test('[H3] an ended playlist answers everything', () => {
  const w = window();
  w.end();
  expect(isSatisfied(w, ask(OPEN + 50, 3))).toBe(true);
  expect(() => { refuseFarAhead(w, ask(OPEN + 50, 3)); }).not.toThrow();
});

test('[H3] _HLS_part alone, and what is no number, are refused with 400', () => {
  for (const query of ['_HLS_part=1', '_HLS_msn=x', '_HLS_msn=-1', '_HLS_msn=1&_HLS_part=', '_HLS_msn=99999999999999999999']) {
    expect(() => parseDirectives(new URLSearchParams(query))).toThrow(MediaError);
  }
  expect(parseDirectives(new URLSearchParams('_HLS_msn=7&_HLS_part=2&_HLS_skip=v2'))).toEqual({ msn: 7, part: 2, skip: true });
  expect(parseDirectives(new URLSearchParams('_HLS_skip=no'))).toEqual({ msn: null, part: null, skip: false });
});

test('any query is read or refused, and never crashes', () => {
  fc.assert(
    fc.property(fc.string(), (query) => {
      try {
        parseDirectives(new URLSearchParams(`_HLS_msn=${query}&${query}`));
      } catch (error) {
        expect(error).toBeInstanceOf(MediaError);
      }
    }),
  );
});
