import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../core/testing-clock.ts';
import { EgressTimeline } from './egress-timeline.ts';
import { PacketHistory } from './packet-history.ts';
import { PliGate } from './pli-gate.ts';

const unit = (epoch: number, rtpTs: number, pts: number, at: number) => ({ frame: { epoch, rtpTs }, pts, arrivedAt: at, wall: 1_750_000_000_000 + at });

describe('[D-4] egress timeline', () => {
  test('the first epoch goes out with the timestamps of the camera', () => {
    const timeline = new EgressTimeline(90_000);
    expect([unit(1, 0xffff_f000, 0, 0), unit(1, 0xffff_f000 + 3_000, 3_000, 33), unit(1, (0xffff_f000 + 6_000) >>> 0, 6_000, 66)].map((u) => timeline.next(u))).toEqual([0xffff_f000, 0xffff_fbb8, 1_904]);
    expect(timeline.offset).toBe(0);
  });

  test('a new epoch follows the last picture by the wall time between them, whatever its own base', () => {
    const timeline = new EgressTimeline(90_000);
    timeline.next(unit(1, 1_000_000, 0, 0));
    expect(timeline.next(unit(2, 4_000_000_000, 0, 1_500))).toBe(1_000_000 + 135_000);
    expect(timeline.next(unit(2, 4_000_003_000, 3_000, 1_533))).toBe(1_000_000 + 138_000);
    expect((4_000_000_000 + timeline.offset) >>> 0).toBe(1_135_000);
    expect(timeline.next(unit(3, 5, 0, 2_533))).toBe(1_138_000 + 90_000);
  });

  test('a camera whose clock jumps within its epoch is put right by the PTS', () => {
    const timeline = new EgressTimeline(90_000);
    timeline.next(unit(1, 1_000, 0, 0));
    expect(timeline.next(unit(1, 3_000_000_000, 3_000, 33))).toBe(4_000);
    expect(timeline.next(unit(1, 3_000_003_000, 6_000, 66))).toBe(7_000);
  });

  test('a camera whose clock is set back by less than a second does not take viewers back', () => {
    const timeline = new EgressTimeline(90_000);
    timeline.next(unit(1, 900_000, 0, 0));
    expect(timeline.next(unit(1, 900_000 - 77_400, 3_600, 40))).toBe(903_600); // −900 ms
    expect(timeline.next(unit(1, 900_000 - 73_800, 7_200, 80))).toBe(907_200);
  });

  test('reordered pictures keep their timestamps', () => {
    const timeline = new EgressTimeline(90_000);
    expect([0, 9_000, 3_000, 6_000].map((pts) => timeline.next(unit(1, 500 + pts, pts, pts / 90)))).toEqual([500, 9_500, 3_500, 6_500]);
  });

  test('a pause of the camera that its timestamps tell, too, is no jump', () => {
    const timeline = new EgressTimeline(90_000);
    timeline.next(unit(1, 1_000, 0, 0));
    expect(timeline.next(unit(1, 1_000 + 900_000, 900_000, 10_000))).toBe(901_000);
    expect(timeline.offset).toBe(0);
  });

  test('wall time maps to egress time, for sender reports', () => {
    const timeline = new EgressTimeline(48_000);
    expect(timeline.at(0)).toBeNull();
    timeline.next(unit(1, 500, 0, 0));
    expect(timeline.at(1_750_000_000_000 + 1_000)).toBe(48_500);
  });
});

describe('packet history', () => {
  const packet = (bytes: number): Buffer => Buffer.alloc(bytes);

  test('keeps the latest packets within both bounds', () => {
    const history = new PacketHistory(8, 100, 65_530);
    for (let i = 0; i < 20; i++) history.push(packet(5));
    expect([history.first, history.end]).toEqual([65_542, 65_550]);
    history.push(packet(90));
    expect(history.bytes).toBeLessThanOrEqual(100);
    expect(history.get(history.end - 1)?.length).toBe(90);
    expect(history.get(history.first - 1)).toBeUndefined();
    expect(history.get(history.end)).toBeUndefined();
  });

  test('a 16-bit number finds its packet over the wrap', () => {
    fc.assert(fc.property(fc.nat(65_535), fc.integer({ min: 1, max: 300 }), fc.nat(), (start, count, pick) => {
      const history = new PacketHistory(64, 1e6, start);
      for (let i = 0; i < count; i++) history.push(Buffer.from([i & 0xff]));
      const sequence = history.first + (pick % (history.end - history.first));
      expect(history.unwrap(sequence & 0xffff)).toBe(sequence);
      expect(history.get(sequence)?.[0]).toBe((sequence - start) & 0xff);
    }));
  });
});

describe('PLI gate', () => {
  test('[DIS-1] any number of requests becomes one per 500 ms', () => {
    const clock = new FakeClock();
    let sent = 0;
    const gate = new PliGate(clock, () => { sent++; });
    for (let i = 0; i < 100; i++) gate.request();
    expect(sent).toBe(1);
    clock.advance(499);
    expect(sent).toBe(1);
    clock.advance(1);
    expect(sent).toBe(2);
    clock.advance(5_000);
    expect(sent).toBe(2);
  });

  test('a key frame answers the request that waits', () => {
    const clock = new FakeClock();
    let sent = 0;
    const gate = new PliGate(clock, () => { sent++; });
    gate.request();
    gate.request();
    gate.satisfied();
    clock.advance(1_000);
    expect(sent).toBe(1);
    gate.request();
    expect(sent).toBe(2);
    gate[Symbol.dispose]();
  });
});
