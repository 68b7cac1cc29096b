import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { WallMapping } from './wall-mapping.ts';

const HOST = 1_750_000_000_000;

/** Feeds `count` pictures of 33⅓ ms; returns the wall time of each as it was told at its arrival. */
const feed = (mapping: WallMapping, count: number, options: { readonly from?: number; readonly delay?: (i: number) => number; readonly host?: number; readonly rate?: number } = {}): number[] => {
  const walls: number[] = [];
  for (let i = options.from ?? 0; walls.length < count; i++) {
    const media = i * (100 / 3);
    const arrival = media * (options.rate ?? 1) + (options.delay?.(i) ?? 0);
    mapping.observe(media, arrival, options.host ?? HOST, i % 30 === 0);
    walls.push(mapping.at(media));
  }
  return walls;
};

describe('wall time', () => {
  test('is the time of arrival where nothing jitters', () => {
    feed(new WallMapping(), 100).forEach((wall, i) => { expect(wall).toBeCloseTo(HOST + i * (100 / 3), 3); });
  });

  test('does not show the network\'s jitter: pictures stand apart as the camera took them', () => {
    const walls = feed(new WallMapping(), 900, { delay: (i) => (i * 7919) % 40 });
    walls.slice(1).forEach((wall, i) => { expect(Math.abs(wall - (walls[i] ?? 0) - 100 / 3)).toBeLessThan(1); });
    expect(walls.at(-1)).toBeCloseTo(HOST + 899 * (100 / 3), 0);
  });

  test('follows a camera whose clock drifts by 100 ppm', () => {
    const walls = feed(new WallMapping(), 30 * 600, { rate: 1.0001 });
    expect(Math.abs((walls.at(-1) ?? 0) - (HOST + (30 * 600 - 1) * (100 / 3) * 1.0001))).toBeLessThan(2);
  });

  test('brings a publisher that began with a burst of half a second back to the present within a minute, never faster than 2 %', () => {
    const walls = feed(new WallMapping(), 30 * 60, { delay: (i) => Math.max(-500, -i * (100 / 3)) });
    walls.slice(1).forEach((wall, i) => { expect(Math.abs(wall - (walls[i] ?? 0) - 100 / 3)).toBeLessThan(0.7); });
    expect(walls.at(-1)).toBeCloseTo(HOST + (30 * 60 - 1) * (100 / 3) - 500, 0);
  });

  test('never steps back when the host\'s clock is set back', () => {
    const mapping = new WallMapping();
    const before = feed(mapping, 90);
    const after = feed(mapping, 300, { from: 90, host: HOST - 3_600_000 });
    const walls = [...before, ...after];
    walls.slice(1).forEach((wall, i) => { expect(wall).toBeGreaterThan(walls[i] ?? 0); });
  });

  test('follows the host\'s clock forward at the next random access picture', () => {
    const mapping = new WallMapping();
    feed(mapping, 95);
    const after = feed(mapping, 60, { from: 95, host: HOST + 3_600_000 });
    expect(after[0]).toBeCloseTo(HOST + 95 * (100 / 3), 0); // picture 95 is not random access
    expect(after[24]).toBeCloseTo(HOST + 119 * (100 / 3), 0);
    expect(after[25]).toBeCloseTo(HOST + 3_600_000 + 4_000, 0); // picture 120 is
  });

  test.each([5.5, 8, 10])('is not moved by a TCP connection that stalls for %d s and then delivers all at once', (seconds) => {
    const stall = { from: 60_000, to: 60_000 + seconds * 1_000 };
    const delay = (i: number): number => {
      const captured = i * (100 / 3);
      return captured >= stall.from && captured < stall.to ? stall.to - captured : 0;
    };
    feed(new WallMapping(), 30 * 120, { delay }).forEach((wall, i) => { expect(Math.abs(wall - (HOST + i * (100 / 3)))).toBeLessThan(5); });
  });

  test('follows a clock that was set forward and back again no further than it stands', () => {
    const mapping = new WallMapping();
    feed(mapping, 91);
    feed(mapping, 10, { from: 91, host: HOST + 3_600_000 });
    const after = feed(mapping, 60, { from: 101, host: HOST + 8_000 });
    expect(after[18]).toBeCloseTo(HOST + 119 * (100 / 3), -1);
    expect(after[19]).toBeCloseTo(HOST + 8_000 + 4_000, 0); // picture 120 is random access
  });

  test('follows a clock that is set during a stall by what it was set, not by the stall', () => {
    const mapping = new WallMapping();
    feed(mapping, 91);
    const late = feed(mapping, 180, { from: 91, host: HOST + 60_000, delay: (i) => Math.max(0, 9_000 - i * (100 / 3)) });
    expect(late.at(-1)).toBeCloseTo(HOST + 60_000 + 270 * (100 / 3), -1);
  });
});

describe('[REC-1] wall time is corrected by 500 ppm at most, within the first minute of an epoch by 2 % downwards', () => {
  const PPM_500 = 500e-6;
  const FIRST_MINUTE_DOWN = 0.02;
  const MINUTE = 60_000;
  /** Of a correction at most this much counts, however long nothing came. */
  const LONGEST = 1_000;
  /** What is left of a number of some 10^5 ms in floating point. */
  const ROUNDING = 1e-6;

  /** One unit: how long after the one before it arrives, how early or late it is for that, and by how much the host's clock was set meanwhile. */
  const unit = fc.record({
    after: fc.oneof(fc.double({ min: 0, max: 100, noNaN: true }), fc.integer({ min: 100, max: 3_000 })), off: fc.oneof(fc.constant(0), fc.integer({ min: -600, max: 600 })),
    set: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: -20_000, max: 5_000 }) }),
  });

  test('whatever comes when, and however the clocks run', () => {
    fc.assert(fc.property(fc.array(unit, { minLength: 20, maxLength: 300, size: 'max' }), fc.double({ min: 0.98, max: 1.02, noNaN: true }), fc.boolean(), (units, rate, mayStep) => {
      const mapping = new WallMapping();
      let [arrival, host] = [0, 0];
      mapping.observe(0, 0, 0, true);
      for (const { after, off, set } of units) {
        arrival += after;
        host += set;
        const before = mapping.at(0);
        mapping.observe(arrival * rate + off, arrival, host, mayStep);
        const corrected = mapping.at(0) - before;
        const elapsed = Math.min(LONGEST, after);
        expect(corrected).toBeLessThanOrEqual(elapsed * PPM_500 + ROUNDING);
        expect(corrected).toBeGreaterThanOrEqual(-elapsed * (arrival > MINUTE ? PPM_500 : FIRST_MINUTE_DOWN) - ROUNDING);
      }
    }));
  });

  const corrected = (from: number, seconds: number, host: (second: number) => number, delay: (media: number) => number = () => 0): number => {
    const mapping = new WallMapping();
    let before = 0;
    for (let media = 0; media <= (from + seconds) * 1_000; media += 40) {
      mapping.observe(media, media + delay(media), host(media / 1_000), media % 1_000 === 0);
      if (media === from * 1_000) before = mapping.at(0);
    }
    return mapping.at(0) - before;
  };

  test.each([
    ['forward in the first minute', 5, 3_000, 10_000 * PPM_500], ['forward later', 70, 3_000, 10_000 * PPM_500],
    ['back later', 70, -3_000, -10_000 * PPM_500], ['back after the first seconds, in which nothing was early', 5, -3_000, -10_000 * PPM_500],
  ])('a host clock that is set %s is followed as fast as that', (_, at, set, expected) => {
    expect(corrected(at, 10, (second) => (second > at ? set : 0))).toBeCloseTo(expected, 6);
  });

  test('a burst of a second is taken back by 2 %, and no further after a minute than by 500 ppm', () => {
    // Sent at once, then in real time: from then on media time is a second ahead of arrival.
    const burst = (ahead: number) => (media: number): number => Math.max(-ahead, -media);
    expect(corrected(5, 10, () => 0, burst(1_000))).toBeCloseTo(-10_000 * FIRST_MINUTE_DOWN, 6);
    expect(corrected(70, 10, () => 0, burst(4_000))).toBeCloseTo(-10_000 * PPM_500, 6);
  });
});
