import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { AV_LOG_QUIET } from 'node-av/constants';
import { Log } from 'node-av/lib';
import { beforeAll, expect, test } from 'vitest';
import { readStill } from '../../core/codec/still/read-still.ts';
import { EOI, SOI, frameHeader, plainPng, png, pngChunk, pngHeader, scan } from '../../test/support/stills.ts';
import { MediaError } from '../../core/errors.ts';
import { decodeStill } from './decode-still.ts';
import { Scaler } from './scaler.ts';

const IMAGES = join(import.meta.dirname, '../../test/fixtures/images');
beforeAll(() => { Log.setLevel(AV_LOG_QUIET); });

/** The picture's pixels as a model of `size` sees them. */
const pixelsOf = async (bytes: Buffer, size: number): Promise<Buffer> => {
  using frame = await decodeStill(readStill(bytes));
  using scaler = new Scaler(size, size);
  const [lease] = scaler.scale(frame, 1);
  return Buffer.from(lease?.bytes ?? []);
};

test('[INF-7] a picture is decoded to its very colours, whatever stands beside it in the file', async () => {
  const pixels = await pixelsOf(plainPng(32, 32, [200, 100, 50]), 32);
  expect(new Set(pixels)).toEqual(new Set([200, 100, 50]));
  expect([...pixels.subarray(0, 3)]).toEqual([200, 100, 50]);
});

test('[INF-7] real pictures are decoded, several at a time', async () => {
  const files = ['messi5.jpg', 'basketball1.png', 'vtest-100.png', 'messi5.jpg'];
  const sizes = await Promise.all(files.map(async (file) => {
    using frame = await decodeStill(readStill(readFileSync(join(IMAGES, file))));
    return [frame.width, frame.height];
  }));
  expect(sizes).toEqual([[548, 342], [640, 480], [768, 576], [548, 342]]);
});

/** By FFmpeg's own tools, from a picture of the fixtures. */
const webpOf = (file: string, ...options: readonly string[]): Buffer => execFileSync('ffmpeg', ['-v', 'error', '-i', join(IMAGES, file), '-c:v', 'libwebp', ...options, '-f', 'webp', '-'], { maxBuffer: 1 << 24 });

test('[INF-7] a WebP is decoded, lossy and lossless, to the colours of its PNG', async () => {
  const png = await pixelsOf(readFileSync(join(IMAGES, 'basketball1.png')), 320);
  const differences = async (picture: Buffer): Promise<number[]> => [...(await pixelsOf(picture, 320)).map((value, i) => Math.abs(value - (png[i] ?? 0)))];
  // The scaler rounds otherwise where there is an alpha beside the colours.
  expect(new Set(await differences(webpOf('basketball1.png', '-lossless', '1')))).toEqual(new Set([0, 1]));
  const lossy = await differences(webpOf('basketball1.png', '-quality', '95'));
  expect(lossy.reduce((sum, value) => sum + value, 0) / lossy.length).toBeLessThan(6);
  const whole = webpOf('basketball1.png');
  await expect(pixelsOf(whole.subarray(0, Math.floor(whole.length / 2)), 64)).rejects.toMatchObject({ reason: 'PICTURE_DAMAGED' });
});

test('[INF-7] a picture that is cut off is an error, wherever it is cut', async () => {
  for (const file of ['messi5.jpg', 'basketball1.png']) {
    const whole = readFileSync(join(IMAGES, file));
    for (const share of [0.02, 0.3, 0.7, 0.97]) {
      const cut = whole.subarray(0, Math.floor(whole.length * share));
      await expect(pixelsOf(cut, 64), `${file} ${String(share)}`).rejects.toMatchObject({ reason: 'PICTURE_DAMAGED' });
    }
  }
  await expect(pixelsOf(Buffer.concat([SOI, frameHeader(64, 64), scan(), EOI]), 64)).rejects.toMatchObject({ reason: 'PICTURE_DAMAGED' });
});

test('[INF-7] a decoder that finds another size than the markers told is stopped', async () => {
  const still = readStill(readFileSync(join(IMAGES, 'messi5.jpg')));
  await expect(decodeStill({ ...still, width: 10, height: 10 })).rejects.toMatchObject({ reason: 'PICTURE_DAMAGED', message: expect.stringContaining('Invalid argument') as string });
  await expect(decodeStill({ ...still, width: still.width - 1 })).rejects.toMatchObject({ reason: 'PICTURE_DAMAGED' });
});

test('[INF-7] the largest picture there may be is decoded', async () => {
  using frame = await decodeStill(readStill(png(pngHeader(16_000, 1_562), pngChunk('IDAT', deflateSync(Buffer.alloc(48_001 * 1_562))), pngChunk('IEND'))));
  expect([frame.width, frame.height]).toEqual([16_000, 1_562]);
});

test.each([[16, 16], [2000, 2000]])('[INF-7] a PNG of %i × %i is not unpacked to more than its pixels', async (width, height) => {
  const rows = (3 * width + 1) * height;
  const of = (bytes: number): Promise<unknown> => decodeStill(readStill(png(pngHeader(width, height), pngChunk('IDAT', deflateSync(Buffer.alloc(bytes))), pngChunk('IEND')))).then((frame) => { frame.free(); });
  await of(rows);
  await expect(of(rows + 1)).rejects.toMatchObject({ reason: 'PICTURE_DAMAGED' });
  await expect(of(rows - 1)).rejects.toMatchObject({ reason: 'PICTURE_DAMAGED' });
  await expect(of(100_000_000)).rejects.toMatchObject({ reason: 'PICTURE_DAMAGED' });
});

test('[INF-7] PNGs of every kind are decoded: palette, grey, alpha, 16 bits, interlaced', async () => {
  const of = async (depth: number, colour: number, interlace: number, samples: number, between: readonly Buffer[] = []): Promise<readonly number[]> => {
    const header = pngChunk('IHDR', Buffer.from([0, 0, 0, 1, 0, 0, 0, 1, depth, colour, 0, 0, interlace]));
    const row = Buffer.alloc(1 + Math.ceil((samples * depth) / 8), 0xff);
    row[0] = 0;
    return [...(await pixelsOf(png(header, ...between, pngChunk('IDAT', deflateSync(row)), pngChunk('IEND')), 1)).subarray(0, 3)];
  };
  expect(await of(8, 2, 1, 3)).toEqual([255, 255, 255]);
  expect(await of(16, 6, 0, 4)).toEqual([255, 255, 255]);
  expect(await of(8, 4, 0, 2)).toEqual([255, 255, 255]);
  expect(await of(1, 0, 0, 1)).toEqual([255, 255, 255]);
  expect(await of(1, 3, 0, 1, [pngChunk('PLTE', Buffer.from([0, 0, 0, 10, 200, 30]))])).toEqual([10, 200, 30]);
});

test('[INF-7] an interlaced PNG is the same picture', async () => {
  const side = 48;
  const at = (x: number, y: number): readonly number[] => [5 * x, y % 2 === 0 ? 0 : 250, (x * y) % 256];
  const row = (y: number, columns: readonly number[]): Buffer => Buffer.from([0, ...columns.flatMap((x) => at(x, y))]);
  const from = (start: number, step: number): number[] => Array.from({ length: Math.ceil((side - start) / step) }, (_, i) => start + i * step);
  const of = (interlace: number, rows: readonly Buffer[]): Promise<Buffer> => {
    const header = pngChunk('IHDR', Buffer.from([0, 0, 0, side, 0, 0, 0, side, 8, 2, 0, 0, interlace]));
    return pixelsOf(png(header, pngChunk('IDAT', deflateSync(Buffer.concat(rows))), pngChunk('IEND')), 20);
  };
  const passes = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]] as const;
  const plain = await of(0, from(0, 1).map((y) => row(y, from(0, 1))));
  expect(await of(1, passes.flatMap(([x, y, across, down]) => from(y, down).map((each) => row(each, from(x, across)))))).toEqual(plain);
  expect(new Set(plain).size).toBeGreaterThan(50);
});

test('[INF-7] whatever is wrong with a picture costs no more than an error', async () => {
  const pictures = [...['messi5.jpg', 'basketball1.png'].map((file) => readFileSync(join(IMAGES, file))), webpOf('messi5.jpg'), webpOf('messi5.jpg', '-lossless', '1')];
  let decoded = 0;
  let refused = 0;
  await fc.assert(fc.asyncProperty(fc.constantFrom(...pictures), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 }), fc.boolean(), async (whole, changes, early) => {
    const bytes = Buffer.from(whole);
    for (const [at, value] of changes) bytes[at % (early ? 700 : bytes.length)] = value;
    try {
      await pixelsOf(bytes, 32);
      decoded++;
    } catch (error) {
      expect(error).toBeInstanceOf(MediaError);
      refused++;
    }
  }), { numRuns: 150 });
  expect(decoded).toBeGreaterThan(0);
  expect(refused).toBeGreaterThan(0);
}, 60_000);
