import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MediaError } from '../../errors.ts';
import { readStill } from './read-still.ts';
import { EOI, SOI, frameHeader, lossless, lossy, plainPng, png, pngChunk, pngHeader, riffChunk, scan, segment, webp } from '../../../test/support/stills.ts';

const IMAGES = join(import.meta.dirname, '../../../test/fixtures/images');
/** What a decoder is to be shown of a JPEG. */
const shown = (bytes: Buffer): Buffer => {
  const still = readStill(bytes);
  return Buffer.from(still.format === 'jpeg' ? still.bytes : []);
};
/** What the chunks of a PNG are, and the bytes of its compressed data. */
const chunksOf = (bytes: Buffer): unknown => {
  const still = readStill(bytes);
  return still.format === 'png' && { head: still.head.map((chunk) => Buffer.from(chunk).toString('latin1', 4, 8)), data: Buffer.concat(still.data).toString('hex') };
};
const jpeg = (...segments: readonly Buffer[]): Buffer => Buffer.concat([SOI, ...segments]);

test('[INF-7] pictures say how large they are before a decoder sees them', () => {
  expect(readStill(readFileSync(join(IMAGES, 'messi5.jpg')))).toMatchObject({ format: 'jpeg', width: 548, height: 342 });
  expect(readStill(readFileSync(join(IMAGES, 'basketball1.png')))).toMatchObject({ format: 'png', width: 640, height: 480 });
  expect(readStill(plainPng(3, 2, [1, 2, 3]))).toMatchObject({ format: 'png', width: 3, height: 2 });
  for (const marker of [0xc0, 0xc1, 0xc2]) expect(readStill(jpeg(frameHeader(640, 300, { marker }), scan(), EOI))).toMatchObject({ format: 'jpeg', width: 640, height: 300 });
});

test('[INF-7] a WebP is the one chunk that holds its picture, lossy or lossless, whatever stands before and behind it', () => {
  const profile = [riffChunk('VP8X', [0x3c, 0, 0, 0, 0x7f, 2, 0, 0xdf, 1, 0]), riffChunk('ICCP', [1, 2, 3]), riffChunk('ALPH', [0])];
  for (const [bytes, chunk] of [[webp(lossy(640, 480)), lossy(640, 480)], [webp(lossless(640, 480)), lossless(640, 480)], [webp(...profile, lossy(640, 480), riffChunk('EXIF', [9])), lossy(640, 480)]] as const) {
    const still = readStill(bytes);
    expect(still).toMatchObject({ format: 'webp', width: 640, height: 480 });
    expect(still.format === 'webp' && Buffer.from(still.chunk)).toEqual(chunk);
  }
});

test('[INF-7] a decoder is shown a JPEG up to its end: another picture behind it, as in multi-picture files, is none of its business', () => {
  const first = jpeg(segment(0xe1, Buffer.from('Exif\0\0')), frameHeader(16, 16), scan(), EOI);
  expect(shown(Buffer.concat([first, first]))).toEqual(first);
  expect(shown(Buffer.concat([first, Buffer.alloc(100)]))).toEqual(first);
  const unended = jpeg(frameHeader(16, 16), scan());
  expect(shown(unended)).toEqual(unended);
});

test('[INF-7] of a PNG a decoder is shown the picture alone: no text or profile that unpacks without end', () => {
  const plain = chunksOf(plainPng(3, 2, [9, 9, 9]));
  expect(plain).toEqual({ head: ['IHDR'], data: deflateSync(Buffer.from([0, ...Array.from({ length: 9 }, () => 9), 0, ...Array.from({ length: 9 }, () => 9)])).toString('hex') });
  expect(chunksOf(plainPng(3, 2, [9, 9, 9], [pngChunk('zTXt', Buffer.alloc(500)), pngChunk('iCCP', Buffer.alloc(30)), pngChunk('acTL', Buffer.alloc(8))]))).toEqual(plain);
  expect(chunksOf(Buffer.concat([plainPng(3, 2, [9, 9, 9]), Buffer.from('behind its end')]))).toEqual(plain);
  expect(chunksOf(png(pngHeader(1, 1), pngChunk('PLTE'), pngChunk('tRNS'), pngChunk('IDAT', Buffer.from('a')), pngChunk('IDAT'), pngChunk('IDAT', Buffer.from('b')), pngChunk('IEND')))).toEqual({ head: ['IHDR', 'PLTE', 'tRNS'], data: '6162' });
});

test.each<[string, readonly [width: number, height: number, depth: number, colour: number, interlace: number], number]>([
  ['RGB', [3, 2, 8, 2, 0], 2 * 10],
  ['RGBA of 16 bits', [3, 2, 16, 6, 0], 2 * 25],
  ['one bit of grey', [9, 4, 1, 0, 0], 4 * 3],
  ['interlaced, 8 × 8', [8, 8, 8, 0, 1], 2 + 2 + 3 + 2 * 3 + 2 * 5 + 4 * 5 + 4 * 9],
  ['interlaced, one pixel', [1, 1, 8, 2, 1], 4],
])('[INF-7] a PNG tells how many bytes its rows are: %s', (_, [width, height, depth, colour, interlace], rowBytes) => {
  const header = Buffer.from([0, 0, 0, width, 0, 0, 0, height, depth, colour, 0, 0, interlace]);
  expect(readStill(png(pngChunk('IHDR', header), pngChunk('IDAT', Buffer.alloc(1)), pngChunk('IEND')))).toMatchObject({ rowBytes });
});

test.each<[string, Buffer, string]>([
  ['nothing', Buffer.alloc(0), 'PICTURE_DAMAGED'],
  ['a GIF', Buffer.from('GIF89a\x01\x00\x01\x00'), 'PICTURE_FORMAT'],
  ['an animated WebP', webp(riffChunk('VP8X', [0x02, 0, 0, 0, 9, 0, 0, 9, 0, 0]), riffChunk('ANIM', [0, 0, 0, 0, 0, 0]), riffChunk('ANMF', [0])), 'PICTURE_FORMAT'],
  ['an animated WebP that does not say so', webp(riffChunk('ANMF', [...Array.from({ length: 16 }, () => 0), ...lossy(9, 9)])), 'PICTURE_FORMAT'],
  ['a WebP without a picture', webp(riffChunk('EXIF', [1, 2])), 'PICTURE_DAMAGED'],
  ['a WebP of a thousand chunks', webp(...Array.from({ length: 1000 }, () => riffChunk('EXIF', [])), lossy(9, 9)), 'PICTURE_DAMAGED'],
  ['a WebP that is cut off', webp(lossy(9, 9)).subarray(0, 25), 'PICTURE_DAMAGED'],
  ['a WebP that begins with no key frame', webp(riffChunk('VP8 ', [1, 0, 0, 0x9d, 1, 0x2a, 9, 0, 9, 0])), 'PICTURE_DAMAGED'],
  ['a lossless WebP of a later version', webp(riffChunk('VP8L', [0x2f, 0, 0, 0, 0x20])), 'PICTURE_DAMAGED'],
  ['a lossless WebP of no header', webp(riffChunk('VP8L', [0x2f])), 'PICTURE_DAMAGED'],
  ['a WebP of 16,383 × 16,383', webp(lossy(16_383, 16_383)), 'PICTURE_TOO_LARGE'],
  ['a lossless JPEG', jpeg(frameHeader(16, 16, { marker: 0xc3 }), scan(), EOI), 'PICTURE_FORMAT'],
  ['a JPEG with arithmetic coding', jpeg(frameHeader(16, 16, { marker: 0xc9 }), scan(), EOI), 'PICTURE_FORMAT'],
  ['a JPEG of 12 bits', jpeg(frameHeader(16, 16, { marker: 0xc1, precision: 12 }), scan(), EOI), 'PICTURE_FORMAT'],
  ['a JPEG that says nothing of its size', jpeg(scan(), EOI), 'PICTURE_DAMAGED'],
  ['a JPEG without data', jpeg(frameHeader(16, 16), EOI), 'PICTURE_DAMAGED'],
  ['a JPEG of no height', jpeg(frameHeader(16, 0), scan(), EOI), 'PICTURE_DAMAGED'],
  ['a JPEG of two sizes', jpeg(frameHeader(16, 16), frameHeader(65_000, 65_000), scan(), EOI), 'PICTURE_DAMAGED'],
  ['a JPEG that ends in a segment', jpeg(frameHeader(16, 16).subarray(0, 9)), 'PICTURE_DAMAGED'],
  ['a JPEG within a JPEG', jpeg(jpeg(frameHeader(16, 16), scan(), EOI)), 'PICTURE_DAMAGED'],
  ['a JPEG of 65,000 × 65,000', jpeg(frameHeader(65_000, 65_000), scan(), EOI), 'PICTURE_TOO_LARGE'],
  ['a JPEG of a thousand scans', jpeg(frameHeader(16, 16), ...Array.from({ length: 1000 }, scan), EOI), 'PICTURE_TOO_LARGE'],
  ['a JPEG of a hundred thousand segments', jpeg(...Array.from({ length: 100_000 }, () => segment(0xfe, Buffer.alloc(0))), frameHeader(16, 16), scan(), EOI), 'PICTURE_TOO_LARGE'],
  ['a PNG of 2³¹−1 × 2³¹−1', png(pngHeader(2 ** 31 - 1, 2 ** 31 - 1), pngChunk('IDAT', Buffer.alloc(9)), pngChunk('IEND')), 'PICTURE_TOO_LARGE'],
  ['a PNG of 25 megapixels of 16 bits', png(pngChunk('IHDR', Buffer.from([0, 0, 0x13, 0x88, 0, 0, 0x13, 0x88, 16, 6, 0, 0, 0])), pngChunk('IDAT', Buffer.alloc(9)), pngChunk('IEND')), 'PICTURE_TOO_LARGE'],
  ['a PNG of one pixel by 20,000', png(pngHeader(1, 20_000), pngChunk('IDAT', Buffer.alloc(9)), pngChunk('IEND')), 'PICTURE_TOO_LARGE'],
  ['a PNG of no width', png(pngHeader(0, 5), pngChunk('IDAT', Buffer.alloc(9)), pngChunk('IEND')), 'PICTURE_DAMAGED'],
  ['a PNG without data', png(pngHeader(5, 5), pngChunk('IEND')), 'PICTURE_DAMAGED'],
  ['a PNG without end', png(pngHeader(5, 5), pngChunk('IDAT', Buffer.alloc(9))), 'PICTURE_DAMAGED'],
  ['a PNG with two headers', png(pngHeader(5, 5), pngHeader(6, 6), pngChunk('IDAT', Buffer.alloc(9)), pngChunk('IEND')), 'PICTURE_DAMAGED'],
  ['a PNG whose header is not its first chunk', png(pngChunk('PLTE', Buffer.alloc(3)), pngHeader(5, 5), pngChunk('IDAT', Buffer.alloc(9)), pngChunk('IEND')), 'PICTURE_DAMAGED'],
  ['a PNG with a header of no bytes', png(pngChunk('IHDR'), pngChunk('IEND')), 'PICTURE_DAMAGED'],
  ['a PNG of 3 bits', png(pngChunk('IHDR', Buffer.from([0, 0, 0, 5, 0, 0, 0, 5, 3, 2, 0, 0, 0])), pngChunk('IDAT', Buffer.alloc(9)), pngChunk('IEND')), 'PICTURE_DAMAGED'],
])('[INF-7] %s is refused', (_, bytes, reason) => {
  expect(() => readStill(bytes)).toThrow(expect.objectContaining({ name: 'MediaError', reason }));
});

/** Pictures of which a byte here and there is another, and cut ones. */
const nearly = fc.tuple(
  fc.constantFrom(jpeg(segment(0xe0, Buffer.from('JFIF\0')), frameHeader(640, 480), scan(), scan(), EOI), plainPng(7, 5, [1, 2, 3], [pngChunk('tEXt', Buffer.from('a'))]), webp(riffChunk('ICCP', [1, 2, 3]), lossy(7, 5)), webp(lossless(7, 5))),
  fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }), fc.nat(),
).map(([whole, changes, cut]) => {
  const bytes = Buffer.from(whole);
  for (const [at, value] of changes) bytes[at % bytes.length] = value;
  return bytes.subarray(0, cut % 3 === 0 ? cut % bytes.length : bytes.length);
});

test('[INF-7] any bytes are a picture of a size within bounds or are refused', () => {
  const random = fc.uint8Array({ maxLength: 400 });
  const begins = (head: Buffer) => random.map((rest) => Buffer.concat([head, rest]));
  fc.assert(fc.property(fc.oneof(random.map((bytes) => Buffer.from(bytes)), begins(SOI), begins(png(pngHeader(4, 4))), begins(webp()), nearly), (bytes) => {
    try {
      const still = readStill(bytes);
      expect(still.width * still.height).toBeGreaterThan(0);
      expect(still.width * still.height).toBeLessThanOrEqual(25_000_000);
      const pieces = still.format === 'jpeg' ? [still.bytes] : still.format === 'webp' ? [still.chunk] : [...still.head, ...still.data];
      expect(pieces.reduce((sum, piece) => sum + piece.length, 0)).toBeLessThanOrEqual(bytes.length);
    } catch (error) {
      expect(error).toBeInstanceOf(MediaError);
    }
  }), { numRuns: 3000 });
});
