import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pictureSize } from './picture-size.ts';

test.each([
  ['nothing', null, null, 1280, 720], ['a width', 640, null, 640, 360], ['an odd width', 641, null, 641, 361], ['a height', null, 360, 640, 360], ['a box', 400, 400, 400, 225],
  ['a flat box', 4000, 90, 160, 90], ['more than there is', 2560, null, 1280, 720], ['a box it fits in', 1281, 4096, 1280, 720],
] as const)('[EXT-9] 1280x720 asked for with %s', (_name, width, height, w, h) => {
  expect(pictureSize(1280, 720, { width, height })).toEqual({ width: w, height: h });
});

test('[EXT-9] whatever camera and wish: within what was asked for, proportions kept to the pixel', () => {
  const side = fc.integer({ min: 16, max: 8192 });
  const wish = fc.option(fc.integer({ min: 16, max: 4096 }), { nil: null });
  fc.assert(fc.property(side, side, wish, wish, (width, height, wantedWidth, wantedHeight) => {
    const size = pictureSize(width, height, { width: wantedWidth, height: wantedHeight });
    const scale = Math.min(1, (wantedWidth ?? Infinity) / width, (wantedHeight ?? Infinity) / height);
    expect(size.width).toBeLessThanOrEqual(Math.min(width, wantedWidth ?? Infinity));
    expect(size.height).toBeLessThanOrEqual(Math.min(height, wantedHeight ?? Infinity));
    expect(Math.abs(size.width - Math.max(2, width * scale))).toBeLessThanOrEqual(0.5);
    expect(Math.abs(size.height - Math.max(2, height * scale))).toBeLessThanOrEqual(0.5);
  }));
});
