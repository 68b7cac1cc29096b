import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TrackClock } from './track-clock.ts';

const create = (): TrackClock => new TrackClock({ clockRate: 90_000, maxStepBackMs: 5_000 });

describe('a track\'s clock', () => {
  test('anchors the first unit at its arrival and counts on from there, exactly', () => {
    const clock = create();
    expect(clock.locate(4_000_000_000, 20)).toBe(1_800);
    expect(clock.locate(4_000_003_000, 60)).toBe(4_800); // late: network jitter is not media time
    expect(clock.locate(4_000_006_003, 61)).toBe(7_803);
  });

  test('counts on where the 32 bits of the timestamp wrap, also among reordered pictures', () => {
    const clock = create();
    const first = clock.locate(0xffff_f000, 0);
    expect(clock.locate(9_000 - 4_096, 33)).toBe(first + 9_000);
    expect(clock.locate(3_000 - 4_096 + 0x1_0000_0000, 66)).toBe(first + 3_000);
    expect(clock.locate(6_000 - 4_096, 99)).toBe(first + 6_000);
    expect(clock.jumps).toBe(0);
  });

  test('anchors anew when the camera\'s clock leaps forward by more than 10 s', () => {
    const clock = create();
    const first = clock.locate(0, 0);
    expect(clock.locate(90_000 * 3_600, 40)).toBe(first + 3_600);
    expect(clock.jumps).toBe(1);
    expect(clock.locate(90_000 * 3_600 + 3_000, 73)).toBe(first + 6_600);
  });

  test('anchors anew when it steps far back, and never goes back itself', () => {
    const clock = create();
    clock.locate(1_000_000_000, 0);
    const before = clock.locate(1_000_003_000, 33);
    expect(clock.locate(12_345, 66)).toBe(before + 2_970);
    expect(clock.jumps).toBe(1);
  });

  test('believes a pause of the camera that its timestamps tell of, and bridges one they do not', () => {
    const honest = create();
    const first = honest.locate(0, 0);
    expect(honest.locate(90_000 * 60, 60_000)).toBe(first + 90_000 * 60);
    expect(honest.jumps).toBe(0);
    const frozen = create();
    frozen.locate(0, 0);
    expect(frozen.locate(3_000, 60_000)).toBe(90_000 * 60);
    expect(frozen.jumps).toBe(1);
  });

  test('anchors anew when small steps back add up', () => {
    const clock = create();
    clock.locate(90_000 * 100, 0);
    for (let i = 1; i <= 4; i++) clock.locate(90_000 * (100 - i * 1.5), i);
    expect(clock.jumps).toBe(1);
  });

  test('takes a file that is pushed faster than real time as it is', () => {
    const clock = create();
    const first = clock.locate(0, 0);
    for (let i = 1; i <= 1_800; i++) expect(clock.locate(i * 3_000, i / 10)).toBe(first + i * 3_000);
  });

  test('any timestamps at any times give finite places that run at most ten minutes ahead of arrival', () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(0xffff_ffff), fc.double({ min: 0, max: 60_000, noNaN: true })), { maxLength: 200 }), (units) => {
      const clock = create();
      let arrival = 0;
      for (const [timestamp, wait] of units) {
        arrival += wait;
        const pts = clock.locate(timestamp, arrival);
        expect(Number.isSafeInteger(pts)).toBe(true);
        expect(pts).toBeGreaterThanOrEqual(-5_000 * 90);
        expect(pts / 90).toBeLessThanOrEqual(arrival + 600_000 + units.length);
      }
    }));
  });
});
