import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MediaError } from '../errors.ts';
import { BitReader } from './bit-reader.ts';
import { removeEmulationPrevention } from './emulation-prevention.ts';

describe('BitReader', () => {
  test('reads fields across byte borders, 32 bits unsigned', () => {
    const reader = new BitReader(Buffer.from('a5ffffffffc0', 'hex'));
    expect(reader.bits(3)).toBe(5);
    expect(reader.bits(5)).toBe(5);
    expect(reader.bits(32)).toBe(0xffff_ffff);
    expect(reader.bitsLeft).toBe(8);
    expect(reader.flag()).toBe(true);
  });

  test.each([
    ['1', 0, 0], ['010', 1, 1], ['011', 2, -1], ['00100', 3, 2], ['00101', 4, -2], ['0001000', 7, 4],
  ])('decodes the Exp-Golomb code %s', (code, ue, se) => {
    const bytes = Buffer.from([Number.parseInt(code.padEnd(8, '0'), 2)]);
    expect(new BitReader(bytes).ue()).toBe(ue);
    expect(new BitReader(bytes).se()).toBe(se);
  });

  test('any bytes are read or refused, and never crash', () => {
    fc.assert(fc.property(fc.uint8Array(), fc.array(fc.nat(40)), (bytes, reads) => {
      const reader = new BitReader(bytes);
      try {
        for (const read of reads) {
          if (read > 32) reader.se();
          else reader.bits(read);
        }
      } catch (error) { expect(error).toBeInstanceOf(MediaError); }
    }));
  });
});

describe('removeEmulationPrevention', () => {
  test.each([
    ['000003', '0000'], ['00000301', '000001'], ['0000030000030003', '00000000' + '0003'], ['010203', '010203'], ['000103', '000103'],
  ])('%s becomes %s', (input, output) => {
    expect(Buffer.from(removeEmulationPrevention(Buffer.from(input, 'hex'))).toString('hex')).toBe(output);
  });

  test('bytes without an escape are returned as they are, not copied', () => {
    const bytes = Buffer.from('0102030405', 'hex');
    expect(removeEmulationPrevention(bytes)).toBe(bytes);
  });
});
