import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BoxWriter } from './box-writer.ts';

test('sizes of nested boxes are filled in when they end', () => {
  const w = new BoxWriter();
  const outer = w.begin('moof');
  const inner = w.beginFull('mfhd', 0, 7);
  w.u32(5);
  w.end(inner);
  w.end(outer);
  expect(w.finish().toString('hex')).toBe('000000186d6f6f66000000106d6668640000000700000005');
});

test('the buffer grows with what is written, whatever the pieces', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), (pieces) => {
      const w = new BoxWriter(1);
      for (const piece of pieces) w.bytes(piece);
      expect(w.finish()).toEqual(Buffer.concat(pieces));
    }),
  );
});

test('64-bit numbers are written whole up to 2^53 − 1', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (value) => {
      const w = new BoxWriter();
      w.u64(value);
      expect(w.finish().readBigUInt64BE()).toBe(BigInt(value));
    }),
  );
});

test('a negative or fractional 64-bit number is our bug and throws', () => {
  const w = new BoxWriter();
  expect(() => { w.u64(-1); }).toThrow('64-bit');
  expect(() => { w.u64(0.5); }).toThrow('64-bit');
});

test('a box left open, or ended twice, is our bug and throws', () => {
  const w = new BoxWriter();
  const box = w.begin('free');
  expect(() => w.finish()).toThrow('not ended');
  w.end(box);
  expect(() => { w.end(box); }).toThrow('had not begun');
});
