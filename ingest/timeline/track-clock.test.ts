import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TrackClock } from './track-clock.ts';

const create = (reorderDepth = 0): TrackClock => {
  const clock = new TrackClock({ clockRate: 90_000 });
  clock.reorderDepth = reorderDepth;
  return clock;
};

/** A picture: what the camera's clock says, and when it arrives, both in milliseconds. */
interface Picture { readonly taken: number; readonly arrives: number }

/** Places them in order, the camera's clock beginning at `origin` ticks; returns their places in ms. */
const place = (clock: TrackClock, pictures: readonly Picture[], origin = 3_000_000_000): number[] =>
  pictures.map(({ taken, arrives }) => clock.locate((origin + Math.round(taken * 90)) >>> 0, arrives) / 90);

/** `seconds` of pictures at `fps`, changed by `change`. */
const pictures = (seconds: number, fps: number, change: (at: number, i: number) => Partial<Picture> | null = () => ({})): Picture[] =>
  Array.from({ length: seconds * fps }, (_, i) => (i * 1_000) / fps).flatMap((at, i) => {
    const changed = change(at, i);
    return changed ? [{ taken: at, arrives: at, ...changed }] : [];
  });

/** Pictures of a GOP in decode order, four at a time: P B b b. */
const REORDERED = [4, 2, 1, 3];

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

  test('anchors anew when the camera\'s clock leaps forward', () => {
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
    for (let i = 1; i <= 4; i++) clock.locate(90_000 * 100 - i * 9_000, i);
    expect(clock.jumps).toBe(1);
  });

  test('takes a file that is pushed faster than real time as it is', () => {
    const clock = create();
    const first = clock.locate(0, 0);
    for (let i = 1; i <= 1_800; i++) expect(clock.locate(i * 3_000, i / 10)).toBe(first + i * 3_000);
  });

  test.each([-9_000, -5_000, -3_000, -900, -250, 1_100, 3_000, 5_000, 9_000, 12_000, 3_600_000])('takes a clock that is set by %d ms for what it is: the timeline goes on at the pace of arrival', (step) => {
    const clock = create();
    const places = place(clock, pictures(20, 25, (at) => (at >= 10_000 ? { taken: at + step } : {})));
    expect(clock.jumps).toBe(1);
    places.forEach((ms, i) => { expect(ms).toBeCloseTo(i * 40, 1); });
  });

  test('sees the clock set among jittering arrivals, and after a day of drift', () => {
    const clock = create();
    const jitter = (i: number): number => (i * 7_919) % 60;
    const slow = pictures(86_400, 1, (at, i) => ({ taken: at * 0.9999, arrives: at + jitter(i) })); // 8.6 s behind by now
    place(clock, slow);
    expect(clock.jumps).toBe(0);
    const end = 86_400_000;
    const after = place(clock, [{ taken: end * 0.9999 + 5_000, arrives: end }, { taken: end * 0.9999 + 5_040, arrives: end + 40 }]);
    expect(clock.jumps).toBe(1);
    expect((after[0] ?? 0) - end * 0.9999).toBeLessThan(100);
  });

  describe('is not deceived by what looks like a clock that was set, and keeps the camera\'s distances exactly:', () => {
    const stalled = (from: number, to: number) => (at: number): Partial<Picture> => (at >= from && at < to ? { arrives: to } : {});
    test.each<{ name: string; list: Picture[]; depth?: number }>([
      { name: 'a TCP connection that stalls for 9.9 s, then a burst', list: pictures(30, 30, stalled(10_000, 19_900)) },
      { name: 'a stall in which the sender throws away all but the newest pictures', list: pictures(30, 30, (at) => (at > 10_000 && at < 17_000 ? null : at >= 17_000 && at < 18_000 ? { arrives: 18_000 } : {})) },
      { name: 'a stall in which the sender throws away every other second', list: pictures(30, 30, (at) => (at > 10_000 && at < 18_000 && Math.floor(at / 1_500) % 2 === 0 ? null : stalled(10_000, 18_000)(at))) },
      { name: 'several stalls one upon the other', list: pictures(60, 25, (at) => ({ arrives: Math.ceil(at / 7_000) * 7_000 })) },
      { name: 'a line too slow for a minute, then free again', list: pictures(120, 10, (at) => ({ arrives: at < 60_000 ? at * 1.15 : Math.max(at, 69_000) })) },
      { name: 'the burst that ffmpeg begins with', list: pictures(20, 25, (at) => ({ arrives: Math.max(0, at - 600) })) },
      { name: 'a file pushed ten times too fast, two pictures a second', list: pictures(300, 2, (at) => ({ arrives: at / 10 })) },
      { name: 'a changing rate: 30, 2, 0.2 and again 30 pictures a second', list: pictures(60, 30, (at, i) => (at < 10_000 || at > 50_000 ? {} : i % (at < 25_000 ? 15 : 150) === 0 ? {} : null)) },
      { name: 'a sender that pauses for a minute', list: pictures(90, 25, (at) => (at > 10_000 && at < 70_000 ? null : {})) },
      { name: 'pictures that the network lost for three seconds', list: pictures(20, 25, (at) => (at > 10_000 && at < 13_000 ? null : {})) },
      { name: 'B-frames at 25 pictures a second', depth: 2, list: pictures(20, 25, (at, i) => ({ taken: i === 0 ? 0 : (Math.floor((i - 1) / 4) * 4 + (REORDERED[(i - 1) % 4] ?? 0)) * 40 })) },
      { name: 'B-frames at 5 pictures a second', depth: 2, list: pictures(60, 5, (at, i) => ({ taken: i === 0 ? 0 : (Math.floor((i - 1) / 4) * 4 + (REORDERED[(i - 1) % 4] ?? 0)) * 200 })) },
      { name: 'B-frames in a stall and its burst', depth: 2, list: pictures(30, 25, (at, i) => ({ taken: i === 0 ? 0 : (Math.floor((i - 1) / 4) * 4 + (REORDERED[(i - 1) % 4] ?? 0)) * 40, ...stalled(10_000, 18_000)(at) })) },
      { name: 'a file that ffmpeg loops with a seam of four pictures too many', list: pictures(60, 25, (at) => ({ taken: at + Math.floor(at / 10_000) * 160 })) },
      { name: 'a file that ffmpeg loops with a seam of two pictures too few', list: pictures(60, 25, (at) => ({ taken: at - Math.floor(at / 10_000) * 80 })) },
    ])('$name', ({ list, depth }) => {
      const clock = create(depth);
      const places = place(clock, list, 2 ** 32 - 10_000 * 90); // the 32 bits wrap after ten seconds, in the middle of it all
      expect(clock.jumps).toBe(0);
      const [first] = list;
      places.forEach((ms, i) => { expect(ms - (places[0] ?? 0)).toBeCloseTo((list[i]?.taken ?? 0) - (first?.taken ?? 0), 1); });
    });
  });

  test('a file that a sender loops from its first timestamp again goes on', () => {
    const clock = create();
    place(clock, pictures(40, 25, (at) => ({ taken: at % 10_000 }))).forEach((ms, i) => { expect(ms).toBeCloseTo(i * 40, 1); });
    expect(clock.jumps).toBe(3);
  });

  test('a track that is moved is no jump, nor does it hide one', () => {
    const clock = create();
    place(clock, pictures(10, 25));
    clock.shift(-8_000 * 90);
    place(clock, pictures(1, 25, (at) => ({ taken: at + 10_000, arrives: at + 10_000 })));
    expect(clock.jumps).toBe(0);
    place(clock, [{ taken: 16_000, arrives: 11_000 }]);
    expect(clock.jumps).toBe(1);
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
