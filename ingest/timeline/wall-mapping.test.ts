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
