import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { CODE_FORMATS } from '../../core/code-formats.ts';
import type { CodeFormat } from '../../core/code-formats.ts';
import { codePicture, pgmOf } from '../../test/support/code-picture.ts';
import type { GreyPixels, PlacedCode } from '../../test/support/code-picture.ts';
import { seededRandom } from '../../test/support/random.ts';
import { loadCodeReader, readCodes } from './read-codes.ts';

beforeAll(loadCodeReader);
/** Pixels are drawn and read one by one, on a machine that may do much else. */
const SLOW = 60_000;

const read = (picture: GreyPixels, ...formats: CodeFormat[]) => readCodes({ picture: pgmOf(picture), width: picture.width, height: picture.height, formats });
const qr = (content: string | Uint8Array, over: Partial<PlacedCode> = {}): PlacedCode => ({ content, format: 'QRCode', side: 180, x: 320, y: 240, ...over });

test('[PRO-2] a QR code is read wherever it is, however it is turned, with noise', { timeout: SLOW }, async () => {
  await fc.assert(fc.asyncProperty(
    fc.record({ side: fc.integer({ min: 110, max: 300 }), angle: fc.integer({ min: 0, max: 359 }), x: fc.integer({ min: 260, max: 380 }), y: fc.integer({ min: 230, max: 250 }), inverted: fc.boolean() }),
    fc.integer({ min: 0, max: 30 }), fc.integer(), async (placed, noise, seed) => {
      const text = 'https://mes.example/wo/4711';
      expect(await read(await codePicture(640, 480, [qr(text, placed)], noise, seed), 'qr')).toMatchObject([{ format: 'qr', text, bytes: null }]);
    },
  ), { numRuns: 25 });
});

test('[PRO-2] of a QR code a sixth as high as a picture of 1080p the place is told by its corners', async () => {
  const [code] = await read(await codePicture(1920, 1080, [qr('WO-2026-0042', { x: 1500, y: 300 })]), 'qr');
  const expected = [[1410, 210], [1590, 210], [1590, 390], [1410, 390]];
  for (const [i, [x = 0, y = 0]] of expected.entries()) {
    expect(Math.abs((code?.corners[i]?.[0] ?? 0) * 1920 - x)).toBeLessThan(8);
    expect(Math.abs((code?.corners[i]?.[1] ?? 0) * 1080 - y)).toBeLessThan(8);
  }
});

/** What is printed and, where that differs, what is read: without letters that begin and end a code, UPC as the EAN it stands for. */
const SAMPLES: [CodeFormat, PlacedCode['format'], string, string?][] = [
  ['qr', 'QRCode', '製品 A-1'], ['micro_qr', 'MicroQRCode', '12345'], ['rmqr', 'RMQRCode', 'PART 7'], ['data_matrix', 'DataMatrix', 'SN:0815'], ['aztec', 'Aztec', 'Gate 4'], ['pdf417', 'PDF417', 'pallet 12'],
  ['code_128', 'Code128', 'LOT-77a'], ['code_39', 'Code39', 'LOT77'], ['code_93', 'Code93', 'LOT77'], ['codabar', 'Codabar', 'A1234B', '1234'], ['itf', 'ITF', '123456'], ['ean_13', 'EAN13', '4006381333931'],
  ['ean_8', 'EAN8', '96385074'], ['upc_a', 'UPCA', '036000291452'], ['upc_e', 'UPCE', '01234565', '0012345000065'], ['data_bar', 'DataBarOmni', '01234567890128'],
];

test.each(SAMPLES)('[PRO-2] %s is read when it is looked for, and not when others are', async (format, name, text, told = text) => {
  const picture = await codePicture(960, 720, [{ content: text, format: name, side: 480, x: 480, y: 360 }]);
  const codes = await read(picture, format);
  expect(codes).toMatchObject([{ format }]);
  expect(codes[0]?.text).toContain(told);
  expect((await read(picture, format === 'data_matrix' ? 'aztec' : 'data_matrix')).map((each) => each.format)).toEqual([]);
});

test('[PRO-2] every kind there is a name for is tried', () => {
  expect(SAMPLES.map(([format]) => format)).toEqual([...CODE_FORMATS]);
});

test('[PRO-2] several codes in one picture are all read, each as what it is', async () => {
  const picture = await codePicture(1280, 720, [qr('one', { x: 200, y: 200 }), qr('two', { x: 600, y: 200, angle: 30 }), { content: 'three', format: 'Code128', side: 400, x: 900, y: 550 }]);
  const codes = await read(picture, 'qr', 'code_128', 'ean_13');
  expect(new Set(codes.map(({ format, text }) => `${format} ${text ?? ''}`))).toEqual(new Set(['qr one', 'qr two', 'code_128 three']));
});

test('[PRO-2] what is no text comes as its bytes', async () => {
  const bytes = Uint8Array.from({ length: 64 }, (_, i) => (i * 37) & 0xff);
  expect(await read(await codePicture(640, 480, [qr(bytes, { side: 300 })]), 'qr')).toMatchObject([{ text: null, bytes: Buffer.from(bytes).toString('base64') }]);
});

test('[PRO-2] the most a QR code holds is read', { timeout: SLOW }, async () => {
  const [digits, letters] = ['7'.repeat(7_089), 'é製'.repeat(588)]; // in UTF-8, with the mark that says so
  expect((await read(await codePicture(1080, 1080, [qr(digits, { side: 980, x: 540, y: 540 })]), 'qr')).map(({ text }) => text)).toEqual([digits]);
  expect((await read(await codePicture(1080, 1080, [qr(letters, { side: 980, x: 540, y: 540 })]), 'qr')).map(({ text }) => text)).toEqual([letters]);
});

test('[PRO-2] noise, stripes and nothing are no codes, and end', { timeout: SLOW }, async () => {
  const random = seededRandom(7);
  const picture = (shade: (i: number) => number): GreyPixels => ({ width: 1365, height: 768, pixels: Uint8Array.from({ length: 1365 * 768 }, (_, i) => shade(i)) });
  for (const shade of [() => 255 * random(), () => (random() < 0.5 ? 0 : 255), (i: number) => ((i % 1365) % 6 < 3 ? 0 : 255), (i: number) => (((i % 1365) >> 3) + (Math.floor(i / 1365) >> 3)) % 2 * 255, () => 128]) {
    expect(await read(picture(shade), 'qr', 'data_matrix', 'aztec')).toEqual([]);
  }
});
