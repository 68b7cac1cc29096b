import fc from 'fast-check';
import { expect, test } from 'vitest';
import { letterbox } from './letterbox.ts';

test('a wide picture is centred with its aspect kept', () => {
  expect(letterbox(1920, 1080, 416, 416)).toMatchObject({ left: 0, top: 91, width: 416, height: 234 });
  expect(letterbox(480, 640, 320, 320)).toMatchObject({ left: 40, top: 0, width: 240, height: 320 });
});

test('any picture lies wholly inside the input and fills it one way', () => {
  const side = fc.integer({ min: 1, max: 8192 });
  fc.assert(fc.property(side, side, fc.integer({ min: 1, max: 1024 }), fc.integer({ min: 1, max: 1024 }), (w, h, iw, ih) => {
    const { left, top, width, height } = letterbox(w, h, iw, ih);
    expect(width).toBeGreaterThanOrEqual(1);
    expect(height).toBeGreaterThanOrEqual(1);
    expect(left).toBeGreaterThanOrEqual(0);
    expect(top).toBeGreaterThanOrEqual(0);
    expect(left + width).toBeLessThanOrEqual(iw);
    expect(top + height).toBeLessThanOrEqual(ih);
    expect(width === iw || height === ih).toBe(true);
  }));
});
