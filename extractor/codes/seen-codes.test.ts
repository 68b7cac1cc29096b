import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_REMEMBERED, MAX_TOLD_BYTES_PER_MINUTE, MAX_TOLD_PER_MINUTE, SeenCodes } from './seen-codes.ts';

const REPEAT = 10_000;
/** Pictures, by the milliseconds since the one before and the codes they show. */
const Pictures = fc.array(fc.record({ after: fc.oneof(fc.integer({ min: 1, max: 3_000 }), fc.integer({ min: 8_000, max: 25_000 })), keys: fc.subarray(['a', 'b', 'c', 'd']) }), { maxLength: 200 });

/** The times at which one code is seen, and those at which it is told. */
const follow = (pictures: readonly { readonly after: number; readonly keys: readonly string[] }[], key: string) => {
  const codes = new SeenCodes();
  const seen: number[] = [];
  const told: { readonly at: number; readonly first: number }[] = [];
  let at = 1_750_000_000_000;
  for (const picture of pictures) {
    at += picture.after;
    const first = codes.see(at, picture.keys, REPEAT).told.get(key);
    if (picture.keys.includes(key)) seen.push(at);
    if (first !== undefined) told.push({ at, first });
  }
  return { seen, told };
};

test('[PRO-2] a code is told when it comes, and again exactly when it was away for long enough', () => {
  fc.assert(fc.property(Pictures, fc.constantFrom('a', 'b', 'c', 'd'), (pictures, key) => {
    const { seen, told } = follow(pictures, key);
    const expected = seen.filter((at, i) => i === 0 || at - (seen[i - 1] ?? 0) >= REPEAT);
    expect(told).toEqual(expected.map((at) => ({ at, first: at })));
  }));
});

test('[PRO-2] what one code does changes nothing for another, nor does its place in the picture', () => {
  fc.assert(fc.property(Pictures, (pictures) => {
    const alone = follow(pictures.map(({ after, keys }) => ({ after, keys: keys.filter((key) => key === 'a') })), 'a');
    expect(follow(pictures, 'a').told).toEqual(alone.told);
    expect(follow(pictures.map(({ after, keys }) => ({ after, keys: [...keys, ...keys].toReversed() })), 'a').told).toEqual(alone.told);
  }));
});

test('[PRO-2] a camera that shows ever new codes tells so many in a minute, and the others are remembered no longer than there is room', () => {
  const codes = new SeenCodes();
  let told = 0;
  let heldBack = 0;
  for (let i = 0; i < 3_000; i++) {
    const picture = codes.see(600_000 + 10 * i, [`${String(i)} a`, `${String(i)} b`], REPEAT);
    told += picture.told.size;
    heldBack += picture.heldBack;
  }
  expect([told, heldBack]).toEqual([MAX_TOLD_PER_MINUTE, 6_000 - MAX_TOLD_PER_MINUTE]);
  // The first is forgotten, as others came since; the last is not.
  expect(codes.see(660_000, ['0 a', '2999 b'], 1e9).told).toEqual(new Map([['0 a', 660_000], ['2999 b', 600_000 + 10 * 2999]]));
  expect(MAX_REMEMBERED).toBeLessThan(6_000);
});

test('[PRO-2] large codes tell no more in a minute than there is room for', () => {
  const codes = new SeenCodes();
  const bytes = MAX_TOLD_BYTES_PER_MINUTE / 4;
  const told = Array.from({ length: 10 }, (_, i) => codes.see(i * 1_000, [String(i)], REPEAT, () => bytes).told.size);
  expect(told).toEqual([1, 1, 1, 1, 0, 0, 0, 0, 0, 0]);
  expect(codes.see(20_000, ['small'], REPEAT).told.size).toBe(1);
  expect(codes.see(60_000, ['large'], REPEAT, () => bytes).told.size).toBe(1);
});

test('[PRO-2] what was too much for a minute is told in the next, with the time at which it came, if it is still there', () => {
  const codes = new SeenCodes();
  codes.see(0, Array.from({ length: MAX_TOLD_PER_MINUTE }, (_, i) => String(i)), REPEAT);
  expect(codes.see(1_000, ['stays', 'goes'], REPEAT)).toEqual({ told: new Map(), heldBack: 2 });
  for (let at = 2_000; at < 60_000; at += 1_000) expect(codes.see(at, ['stays'], REPEAT)).toEqual({ told: new Map(), heldBack: 0 });
  expect(codes.see(60_000, ['stays'], REPEAT)).toEqual({ told: new Map([['stays', 1_000]]), heldBack: 0 });
});

test('[PRO-2] a clock that jitters tells nothing twice, and one that is set back an hour keeps nothing quiet', () => {
  const codes = new SeenCodes();
  const HOUR = 3_600_000;
  expect(codes.see(HOUR, ['a'], REPEAT).told.size).toBe(1);
  expect(codes.see(HOUR - 4_000, ['a'], REPEAT).told.size).toBe(0);
  expect(codes.see(1_000, ['a'], REPEAT).told).toEqual(new Map([['a', 1_000]]));
  expect(codes.see(2_000, ['a'], REPEAT).told.size).toBe(0);
});
