import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { DetectionResult } from './detection.ts';
import { FrameResults } from './frame-results.ts';
import type { FramePicture, FrameResultsOptions } from './frame-results.ts';
import { FakeClock } from './testing-clock.ts';

/** The n-th picture of a camera with 10 a second. */
const pictureOf = (seq: number): FramePicture => ({ frame: { stream: 'line-1', epoch: 7, rtpTs: seq * 9000, captureNtp: null, seq }, capturedAt: 1_750_000_000_000 + 100 * seq });
/** What a detector says of it: one box, named as the picture. */
const resultOf = (seq: number, className = String(seq)): DetectionResult => ({
  ...pictureOf(seq), model: 'm', modelDigest: 'd', inferenceMs: 1, width: 1280, height: 720,
  detections: [{ className, classId: 0, confidence: 0.92, bbox: { x: 300, y: 400, width: 160, height: 360 }, trackId: null }],
});

const setUp = (more: Partial<FrameResultsOptions<FramePicture>> = {}) => {
  const clock = new FakeClock();
  const delivered: string[] = [];
  const results = new FrameResults<FramePicture>({ clock, ...more, deliver: (picture, found) => { delivered.push(`${String(picture.frame.seq)}: ${found.flatMap(({ detections }) => detections.map(({ className }) => className)).join(' ')}`); } });
  return { clock, results, delivered };
};

test('[DIS-3] without a detector a picture goes at once', () => {
  const { results, delivered, clock } = setUp();
  results.onPicture(pictureOf(1));
  expect([delivered, clock.waiting]).toEqual([['1: '], []]);
});

test('[DIS-3] a picture waits for the result of its own frame; one that gets none has the last before it', () => {
  const { results, delivered } = setUp();
  results.onResult('detect', resultOf(0));
  results.onPicture(pictureOf(2));
  results.onPicture(pictureOf(3));
  results.onPicture(pictureOf(4));
  expect(delivered).toEqual([]);
  results.onResult('detect', resultOf(2));
  expect(delivered).toEqual(['2: 2']);
  results.onResult('detect', resultOf(4)); // frame 3 was not looked at
  expect(delivered).toEqual(['2: 2', '3: 2', '4: 4']);
});

test('[DIS-3] no picture waits longer than 250 ms, and a result too old is not shown with it', () => {
  const { results, delivered, clock } = setUp();
  results.onResult('detect', resultOf(0));
  results.onResult('detect', resultOf(1));
  results.onPicture(pictureOf(3));
  clock.advance(249);
  expect(delivered).toEqual([]);
  clock.advance(1);
  expect(delivered).toEqual(['3: 1']); // two intervals
  results.onPicture(pictureOf(4));
  clock.advance(250);
  expect(delivered.at(-1)).toBe('4: ');
});

test('[DIS-3] a detector that has fallen silent is not waited for', () => {
  const { results, delivered, clock } = setUp();
  results.onResult('detect', resultOf(0));
  clock.advance(1_001);
  results.onPicture(pictureOf(20));
  expect(delivered).toEqual(['20: ']);
});

test('[DIS-4] a detector of one picture a second is waited for, and holds until its next; one of fewer holds no longer than two seconds', () => {
  const { results, delivered, clock } = setUp();
  results.onResult('slow', resultOf(0));
  clock.advance(1_050); // pictures jitter
  results.onResult('slow', resultOf(10));
  clock.advance(1_050);
  results.onPicture(pictureOf(20));
  expect(delivered).toEqual([]);
  results.onResult('slow', resultOf(20));
  results.onPicture(pictureOf(29));
  clock.advance(250);
  expect(delivered).toEqual(['20: 20', '29: 20']);
  results.onResult('slow', resultOf(60)); // four seconds later
  for (const seq of [80, 81]) results.onPicture(pictureOf(seq));
  clock.advance(250);
  expect(delivered.slice(2)).toEqual(['80: 60', '81: ']);
});

test('[SD-32] of several detectors all results of the frame are told, or those of the one that was chosen', () => {
  const { results, delivered } = setUp();
  for (const id of ['a', 'b']) results.onResult(id, resultOf(0, `${id}0`));
  results.onPicture(pictureOf(1));
  results.onResult('a', resultOf(1, 'a1'));
  expect(delivered).toEqual([]);
  results.choose('a');
  expect(delivered).toEqual(['1: a1']);
  results.choose(null);
  results.onPicture(pictureOf(2));
  results.onResult('a', resultOf(2, 'a2'));
  results.onResult('b', resultOf(2, 'b2'));
  expect(delivered.at(-1)).toBe('2: a2 b2');
  results.choose('none of them');
  results.onPicture(pictureOf(3));
  expect(delivered.at(-1)).toBe('3: ');
});

test('[DIS-4] where it is known which pictures a detector looks at, only those wait for it', () => {
  const { results, delivered, clock } = setUp({ awaits: ({ frame }, detector) => detector === 'a' && frame.seq % 2 === 0 });
  for (const seq of [-4, -2, 0]) results.onResult('a', resultOf(seq, `a${String(seq)}`));
  results.onResult('b', resultOf(0, 'b0')); // how long its results hold is not known before the second
  results.onPicture(pictureOf(1));
  results.onPicture(pictureOf(2));
  results.onPicture(pictureOf(3));
  expect(delivered).toEqual(['1: a0']);
  results.onResult('a', resultOf(2, 'a2'));
  expect([delivered, clock.waiting]).toEqual([['1: a0', '2: a2', '3: a2'], []]);
});

test('[DIS-4] pictures that wait when nobody wants them any more are told of, each once', () => {
  const forgotten: number[] = [];
  const { results, delivered, clock } = setUp({ onForgotten: ({ frame }) => { forgotten.push(frame.seq); } });
  results.onResult('detect', resultOf(0));
  results.onPicture(pictureOf(1));
  results.onPicture(pictureOf(2));
  results[Symbol.dispose]();
  clock.advance(1_000);
  expect([delivered, forgotten, clock.waiting]).toEqual([[], [1, 2], []]);
});

test('[DIS-3] whatever comes in which order: each picture once, in order, none waits for ever, no result but of its frame or one before', () => {
  const event = fc.oneof(fc.record({ picture: fc.nat(3) }), fc.record({ result: fc.nat(3), detector: fc.constantFrom('a', 'b') }), fc.record({ wait: fc.integer({ min: 1, max: 400 }) }));
  fc.assert(fc.property(fc.array(event, { maxLength: 100 }), (events) => {
    const { clock, results, delivered } = setUp();
    let [next, count] = [0, 0];
    const said = { a: 0, b: 0 };
    for (const each of events) {
      if ('wait' in each) clock.advance(each.wait);
      else if ('picture' in each) {
        next += 1 + each.picture;
        count++;
        results.onPicture(pictureOf(next));
      } else results.onResult(each.detector, resultOf(said[each.detector] += 1 + each.result));
    }
    clock.advance(250);
    expect(delivered).toHaveLength(count);
    const pictures = delivered.map((text) => Number(text.split(':')[0]));
    expect(pictures).toEqual(pictures.toSorted((a, b) => a - b));
    for (const text of delivered) for (const name of text.split(' ').slice(1)) expect(Number(name)).toBeLessThanOrEqual(Number(text.split(':')[0]));
  }));
});

test('[DIS-4] with B-frames, whose numbers are not in the order of the pictures, each picture waits for its own result, and one without has that of the picture shown before it', () => {
  const { results, delivered } = setUp();
  // Shown I0 B2 B3 P1 B5 B6 P4, numbered in the order in which they came.
  const shown = [0, 2, 3, 1, 5, 6, 4];
  const at = (seq: number): number => pictureOf(0).capturedAt + 100 * shown.indexOf(seq);
  const picture = (seq: number): FramePicture => ({ ...pictureOf(seq), capturedAt: at(seq) });
  const result = (seq: number): DetectionResult => ({ ...resultOf(seq), capturedAt: at(seq) });
  results.onPicture(picture(0));
  for (const seq of [0, 2, 3]) results.onResult('detect', result(seq));
  results.onPicture(picture(1));
  expect(delivered).toEqual(['0: ']); // B3 has a higher number, and was before it
  results.onResult('detect', result(1));
  results.onPicture(picture(5));
  results.onPicture(picture(6));
  results.onResult('detect', result(4)); // B5 and B6 were not looked at
  expect(delivered).toEqual(['0: ', '1: 1', '5: 1', '6: 1']);
});
