import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FpsGate } from './fps-gate.ts';

const taken = (fps: number, times: readonly number[]): number[] => {
  const gate = new FpsGate(fps, 90_000);
  return times.filter((pts) => gate.takes(pts));
};
const stream = (fps: number, count: number): number[] => Array.from({ length: count }, (_, i) => Math.round((i * 90_000) / fps));

test('[EXT-2] 15 of 30 fps is every second picture', () => {
  expect(taken(15, stream(30, 8))).toEqual([0, 6000, 12_000, 18_000]);
});

test('20 of 30 fps, and 15 of 25, are exact in the long run', () => {
  expect(taken(20, stream(30, 300))).toHaveLength(200);
  expect(taken(15, stream(25, 250))).toHaveLength(150);
});

test('a detector that asks for more than the camera gives sees every picture', () => {
  expect(taken(30, stream(15, 10))).toHaveLength(10);
  expect(taken(30, stream(30, 10))).toHaveLength(10);
});

test('timestamps that jitter by a millisecond change nothing', () => {
  const times = stream(30, 100).map((pts, i) => pts + (i % 3) * 90 - 90);
  expect(taken(15, times)).toHaveLength(50);
});

test('after a gap, and after time went back to a new epoch, the next picture is taken and the rate is as before', () => {
  expect(taken(15, [0, 3000, 900_000, 903_000, 906_000])).toEqual([0, 900_000, 906_000]);
  expect(taken(15, [900_000, 0, 3000, 6000])).toEqual([900_000, 0, 6000]);
});

test('of any stream it takes at most its rate, over any stretch', () => {
  fc.assert(fc.property(fc.double({ min: 1, max: 60, noNaN: true }), fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 300 }), (fps, steps) => {
    let pts = 0;
    const times = steps.map((step) => (pts += step));
    const kept = taken(fps, times);
    for (const [i, from] of kept.entries()) {
      const to = kept[i + 10];
      if (to !== undefined) expect(((to - from) / 90_000) * fps).toBeGreaterThan(8.5);
    }
  }));
});
