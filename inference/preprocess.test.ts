import fc from 'fast-check';
import { expect, test } from 'vitest';
import { IMAGENET, PLAIN, halfTables, toFloatPlanes, toHalfPlanes } from './preprocess.ts';
import type { Normalisation } from './preprocess.ts';

const halves = (pixels: Uint8Array, normalisation: Normalisation): Float16Array => {
  const planes = new Uint16Array(pixels.length);
  toHalfPlanes(pixels, planes, halfTables(normalisation));
  return new Float16Array(planes.buffer);
};

test('[INF-2] half floats are the floats, rounded: planes of R, G, B, for every value and any normalisation', () => {
  expect([...halves(Uint8Array.of(0, 255, 51, 255, 0, 102), PLAIN)]).toEqual([...Float16Array.of(0, 1, 1, 0, 0.2, 0.4)]);
  const channel = fc.double({ min: -2, max: 2, noNaN: true });
  const deviation = fc.double({ min: 0.01, max: 4, noNaN: true });
  const normalisation: fc.Arbitrary<Normalisation> = fc.oneof(fc.constantFrom(PLAIN, IMAGENET), fc.record({ mean: fc.tuple(channel, channel, channel), std: fc.tuple(deviation, deviation, deviation) }));
  fc.assert(fc.property(fc.uint8Array({ minLength: 3, maxLength: 300 }).map((bytes) => bytes.subarray(0, bytes.length - bytes.length % 3)), normalisation, (pixels, by) => {
    const floats = new Float32Array(pixels.length);
    toFloatPlanes(pixels, floats, by);
    for (const [i, value] of halves(pixels, by).entries()) {
      const wanted = floats[i] ?? Number.NaN;
      // A half float has eleven bits; near zero what was taken off counts.
      expect(Math.abs(value - wanted)).toBeLessThanOrEqual(2 ** -11 * Math.abs(wanted) + 2e-5);
    }
  }));
});
