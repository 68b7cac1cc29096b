import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FakeClock } from '../../core/testing-clock.ts';
import { PictureResults } from './picture-results.ts';
import { pictureOf, resultOf } from './testing-pictures.ts';

const setUp = () => {
  const clock = new FakeClock();
  const delivered: string[] = [];
  const results = new PictureResults({ clock, deliver: (picture, found) => { delivered.push(`${String(picture.frame.seq)}: ${found.flatMap(({ detections }) => detections.map(({ className }) => className)).join(' ')}`); } });
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
