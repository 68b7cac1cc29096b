import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KeyframePace } from './keyframe-pace.ts';

test('[DIS-4] the first picture is random access, one within every two seconds, the next after a request, and no other', () => {
  const pace = new KeyframePace();
  const chosen: number[] = [];
  for (let i = 0; i < 150; i++) {
    if (i === 70) for (let k = 0; k < 5; k++) pace.request(); // of many viewers at a time
    if (pace.takes(i * 3000)) chosen.push(i);
  }
  expect(chosen).toEqual([0, 57, 70, 127]);
});

test('[DIS-4] whatever the rate, from ten pictures a second on, and whatever is asked when: no two seconds are without a random access picture', () => {
  fc.assert(fc.property(fc.array(fc.record({ step: fc.integer({ min: 1, max: 9_000 }), asked: fc.boolean() }), { maxLength: 300 }), (pictures) => {
    const pace = new KeyframePace();
    let [pts, last] = [0, 0];
    pictures.forEach(({ step, asked }, i) => {
      pts += step;
      if (asked) pace.request();
      const takes = pace.takes(pts);
      if (i === 0 || asked) expect(takes).toBe(true);
      if (takes) last = pts;
      expect(pts - last).toBeLessThanOrEqual(180_000);
    });
  }));
});

test('[DIS-4] time that goes back is a new beginning', () => {
  const pace = new KeyframePace();
  expect([90_000, 93_000, 50, 3_050].map((pts) => pace.takes(pts))).toEqual([true, false, true, false]);
});
