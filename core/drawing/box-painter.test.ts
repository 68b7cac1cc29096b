import fc from 'fast-check';
import { expect, test } from 'vitest';
import { colourOf, INK, toYuv } from './box-colour.ts';
import { paintBoxes } from './box-painter.ts';
import { lineWidth, placeBox } from './box-placement.ts';
import type { DrawnBox } from './drawn-box.ts';
import { GLYPH_ADVANCE, GLYPH_HEIGHT, eachDot, writable } from './glyphs.ts';
import { I420Picture } from './i420-picture.ts';
import { RgbPicture } from './rgb-picture.ts';

const SD = { bt709: false, full: false };
const box = (more: Partial<DrawnBox> = {}): DrawnBox => ({ className: 'cup', classId: 0, confidence: 0.876, trackId: null, x: 100, y: 100, width: 80, height: 60, ...more });
interface Pixels { readonly width: number; readonly height: number; readonly bytes: Buffer; readonly picture: I420Picture }
const black = (width: number, height: number): Pixels => {
  const bytes = Buffer.alloc((width * height * 3) / 2, 128);
  bytes.fill(16, 0, width * height);
  return { width, height, bytes, picture: I420Picture.packed(width, height, bytes, SD) };
};
const at = ({ width, height, bytes }: Pixels, x: number, y: number): { y: number; u: number; v: number } => {
  const chroma = Math.floor(y / 2) * (width / 2) + Math.floor(x / 2);
  return { y: bytes[y * width + x] ?? -1, u: bytes[width * height + chroma] ?? -1, v: bytes[width * height * 1.25 + chroma] ?? -1 };
};

test('[REC-5] a box is drawn on its edges and nowhere inside, with its label on top', () => {
  const picture = black(640, 360);
  paintBoxes(picture.picture, [box()]);
  const colour = toYuv(colourOf(box()), SD);
  const background = { y: 16, u: 128, v: 128 };
  for (const [x, y] of [[100, 100], [140, 101], [179, 100], [101, 130], [178, 130], [100, 159], [179, 159]] as const) expect(at(picture, x, y), `${String(x)},${String(y)}`).toEqual(colour);
  for (const [x, y] of [[98, 130], [104, 104], [140, 130], [182, 130], [140, 162]] as const) expect(at(picture, x, y), `${String(x)},${String(y)}`).toEqual(background);
  expect(at(picture, 101, 91)).toEqual(colour); // the label's corner
  const row = Array.from({ length: 60 }, (_, i) => at(picture, 100 + i, 94).y);
  expect(row).toContain(toYuv(INK, SD).y);
});

test('[REC-5] whatever a detector says, everything is drawn on even pixels within the picture', () => {
  const anywhere = fc.double({ min: -70_000, max: 70_000, noNaN: true });
  const side = fc.integer({ min: 1, max: 400 }).map((half) => half * 2);
  fc.assert(fc.property(fc.record({ x: anywhere, y: anywhere, width: anywhere, height: anywhere, className: fc.string({ unit: 'grapheme', maxLength: 80 }), classId: fc.integer() }), side, side, (some, width, height) => {
    const placed = placeBox(box(some), { width, height });
    for (const { left, top, width: w, height: h } of placed ? [...placed.edges, placed.label] : []) {
      expect([left % 2, top % 2, w % 2, h % 2].map(Math.abs)).toEqual([0, 0, 0, 0]);
      expect(left >= 0 && top >= 0 && w > 0 && h > 0 && left + w <= width && top + h <= height).toBe(true);
    }
    const picture = black(width, height);
    paintBoxes(picture.picture, [box(some)]);
    expect(picture.bytes).toHaveLength((width * height * 3) / 2);
  }));
});

test('[REC-5] a label stands above its box, in it at the upper edge, and moves in from the right edge', () => {
  const size = { width: 1280, height: 720 };
  const above = placeBox(box(), size);
  expect(above && above.label.top + above.label.height).toBe(100);
  expect(placeBox(box({ y: 4 }), size)?.label.top).toBe(4);
  const right = placeBox(box({ x: 1270 }), size);
  expect(right && right.label.left + right.label.width).toBe(1280);
  expect(above?.label.text).toBe('cup 88 %');
  expect(placeBox(box({ x: -90 }), size)).toBeUndefined();
  expect([360, 720, 1080, 2160].map(lineWidth)).toEqual([2, 2, 4, 4]);
});

test('[REC-5] a picture that was scaled into the file has its boxes scaled with it', () => {
  const placed = placeBox(box(), { width: 1280, height: 720 }, { left: 160, top: 0, scaleX: 2, scaleY: 1.5 });
  expect(placed?.edges[0]).toEqual({ left: 360, top: 150, width: 160, height: 2 });
});

test('[REC-5] the colours of classes are the page’s, in whatever the pixels mean', () => {
  expect([0, 1, 8, -1].map((classId) => colourOf({ classId, trackId: null }))).toEqual([0xf59e0b, 0x38bdf8, 0xf59e0b, 0x38bdf8]);
  expect(toYuv(0xffffff, SD)).toEqual({ y: 235, u: 128, v: 128 });
  expect(toYuv(0xffffff, { bt709: true, full: true })).toEqual({ y: 255, u: 128, v: 128 });
  expect(toYuv(0xff0000, SD)).toEqual({ y: 81, u: 90, v: 240 });
  expect(toYuv(0xff0000, { bt709: true, full: false })).toEqual({ y: 63, u: 102, v: 240 });
});

test('[INF-6] [DIS-4] an object that is followed has one colour whatever its class is, and its number on the label', () => {
  expect([['7', 0], ['7', 3], ['8', 3]].map(([trackId, classId]) => colourOf({ trackId: String(trackId), classId: Number(classId) }))).toEqual([0xfacc15, 0xfacc15, 0xf59e0b]);
  expect(colourOf({ trackId: 'no number', classId: 1 })).toBe(0x38bdf8);
  expect(placeBox(box({ trackId: '12' }), { width: 1280, height: 720 })?.label.text).toBe('cup #12 88 %');
});

test('[DIS-4] a picture in RGB, and one of odd sides with padded rows, have the same box at the same place, and nothing beside it is touched', () => {
  const [width, height, stride] = [201, 121, 256];
  const where = { x: 40, y: 60, width: 100, height: 200 };
  const rgb = Buffer.alloc(3 * stride * height, 1);
  paintBoxes(new RgbPicture(width, height, { bytes: rgb, stride: 3 * stride }), [box(where)]);
  const planes = [Buffer.alloc(stride * height, 1), Buffer.alloc(128 * 61, 2), Buffer.alloc(128 * 61, 3)] as const;
  paintBoxes(new I420Picture(width, height, [{ bytes: planes[0], stride }, { bytes: planes[1], stride: 128 }, { bytes: planes[2], stride: 128 }], SD), [box(where)]);
  const colour = toYuv(0xf59e0b, SD);
  let boxed = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < stride; x++) {
      const drawn = rgb.readUIntBE(3 * (y * stride + x), 3);
      const luma = planes[0][y * stride + x];
      expect(luma, `${String(x)},${String(y)}`).toBe(drawn === 0x010101 ? 1 : drawn === INK ? toYuv(INK, SD).y : colour.y);
      if (drawn === 0xf59e0b && y > 62) boxed++;
      if (x >= width) expect(drawn).toBe(0x010101);
    }
  }
  expect(boxed).toBe(2 * 2 * (120 - 63) + 2 * (100 - 4)); // the edges beside, and the one at the lower end of the even part
  expect([planes[1][30 * 128 + 20], planes[2][30 * 128 + 20], planes[1][30 * 128 + 19]]).toEqual([colour.u, colour.v, 2]);
});

test('[REC-5] letters are dots; accents fall away, and what has no letter is a question mark', () => {
  expect(writable('Größe Ångström ½')).toBe('Grosse Angstrom 1?2');
  expect(writable('製品')).toBe('??');
  const rows = Array.from({ length: GLYPH_HEIGHT }, () => Array.from({ length: 2 * GLYPH_ADVANCE }, () => ' '));
  eachDot('Ly', (x, y) => { const row = rows[y]; if (row) row[x] = '#'; });
  expect(rows.map((row) => row.join('').trimEnd())).toEqual(['#', '#', '#     #   #', '#     #   #', '#      ####', '#         #', '##### #   #', '       ###']);
});
