import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { jpegOrientation } from './jpeg-orientation.ts';

/** A JPEG that says how it is to be turned, as far as the pixels. */
const turned = (orientation: number, little = false, before: Buffer = Buffer.alloc(0)): Buffer => {
  const tiff = Buffer.alloc(8 + 2 + 24 + 4);
  const u16 = (value: number, at: number): void => { if (little) tiff.writeUInt16LE(value, at); else tiff.writeUInt16BE(value, at); };
  const u32 = (value: number, at: number): void => { if (little) tiff.writeUInt32LE(value, at); else tiff.writeUInt32BE(value, at); };
  tiff.write(little ? 'II' : 'MM', 0, 'latin1');
  u16(42, 2);
  u32(8, 4);
  u16(2, 8);
  u16(0x010f, 10);
  u16(0x0112, 22);
  u16(3, 24);
  u32(1, 26);
  u16(orientation, 30);
  const head = Buffer.from([0xff, 0xe1, 0, 2 + 6 + tiff.length]);
  return Buffer.concat([Buffer.from([0xff, 0xd8]), before, head, Buffer.from('Exif\0\0', 'latin1'), tiff, Buffer.from([0xff, 0xda, 0, 2])]);
};

test('a picture of a phone says how it is to be turned', () => {
  for (const little of [false, true]) for (let orientation = 1; orientation <= 8; orientation++) expect(jpegOrientation(turned(orientation, little))).toBe(orientation);
  expect(jpegOrientation(turned(6, false, Buffer.from([0xff, 0xe0, 0, 4, 1, 2])))).toBe(6);
});

test('a picture that says nothing, or nonsense, is as it is', () => {
  expect(jpegOrientation(readFileSync(join(import.meta.dirname, '../../../test/fixtures/images/messi5.jpg')))).toBe(1);
  expect(jpegOrientation(turned(9))).toBe(1);
  expect(jpegOrientation(Buffer.from('\x89PNG'))).toBe(1);
  expect(jpegOrientation(new Uint8Array(0))).toBe(1);
});

test('any bytes have an orientation', () => {
  const nearly = fc.tuple(fc.nat(), fc.nat(255), fc.nat(60)).map(([at, value, cut]) => {
    const bytes = turned(6);
    bytes[at % bytes.length] = value;
    return bytes.subarray(0, bytes.length - cut);
  });
  fc.assert(fc.property(fc.oneof(nearly, fc.uint8Array().map((rest) => Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe1]), rest]))), (bytes) => {
    expect(jpegOrientation(bytes)).toBeGreaterThanOrEqual(1);
    expect(jpegOrientation(bytes)).toBeLessThanOrEqual(8);
  }));
});
