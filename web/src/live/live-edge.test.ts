import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LOOK_MS, catchUpRate } from './live-edge.ts';

test('[DIS-2] wherever it begins, a player comes to the live edge and stays there, and never runs out of pictures by it', () => {
  fc.assert(fc.property(fc.double({ min: 0.3, max: 2.5, noNaN: true }), fc.double({ min: 0.4, max: 0.8, noNaN: true }), fc.double({ min: 0, max: 0.2, noNaN: true }), (begun, target, network) => {
    let latency = begun;
    for (let t = 0; t < 40_000; t += LOOK_MS) {
      // Of what there is, what has come: parts of 0.2 s, each a while after it was there.
      const buffered = latency - network - (t % 200) / 1000;
      const rate = catchUpRate({ latency, target, buffered });
      latency -= ((rate - 1) * LOOK_MS) / 1000;
      if (rate > 1) expect(buffered).toBeGreaterThanOrEqual(0.25);
    }
    expect(latency).toBeLessThanOrEqual(Math.max(target + 0.06, 0.25 + network + 0.2 + 0.06));
    expect(latency).toBeGreaterThanOrEqual(Math.min(begun, target));
  }));
});

test('[DIS-2] a player that does not know where it is plays at its speed', () => {
  for (const latency of [Number.NaN, 0, -1]) expect(catchUpRate({ latency, target: 0.6, buffered: 5 })).toBe(1);
  expect(catchUpRate({ latency: 3, target: 0.6, buffered: 0 })).toBe(1);
});
