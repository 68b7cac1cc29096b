import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JitterBuffer } from './jitter-buffer.ts';
import { hex, rtpPacket } from './testing.ts';

type Out = (number | `lost ${number}`)[];
const setup = (options: Partial<ConstructorParameters<typeof JitterBuffer>[0]> = {}) => {
  const buffer = new JitterBuffer({ delayMs: 200, clockRate: 90_000, ...options });
  const push = (sequence: number, now: number) => buffer.push(rtpPacket(hex('00'), { sequenceNumber: sequence & 0xffff, timestamp: now * 90 }), now);
  const pop = (now: number): Out => {
    const out: Out = [];
    buffer.pop(now, { packet: (p) => out.push(p.sequenceNumber), lost: (count) => out.push(`lost ${count}`) });
    return out;
  };
  return { buffer, push, pop };
};

describe('jitter buffer', () => {
  test('packets in order come out at once, over the wrap', () => {
    const { push, pop } = setup();
    const out: Out = [];
    for (const sequence of [65_534, 65_535, 65_536, 65_537]) { push(sequence, 0); out.push(...pop(0)); }
    expect(out).toEqual([65_534, 65_535, 0, 1]);
  });

  test('a hole filled in time is waited for', () => {
    const { buffer, push, pop } = setup();
    push(1, 0); push(3, 1);
    expect(pop(1)).toEqual([1]);
    expect(pop(100)).toEqual([]);
    push(2, 110);
    expect(pop(110)).toEqual([2, 3]);
    expect(buffer.stats).toMatchObject({ lost: 0, received: 3 });
  });

  test('a hole is given up after the delay, told before the packet behind it', () => {
    const { buffer, push, pop } = setup();
    push(1, 0); push(4, 10);
    expect(pop(209)).toEqual([1]);
    expect(pop(210)).toEqual(['lost 2', 4]);
    expect(push(2, 220)).toBe(true); // the network did bring it
    expect(pop(220)).toEqual([]);
    expect(buffer.stats).toMatchObject({ lost: 2, late: 1 });
  });

  test('[ING-8] missing packets are asked for after the reordering allowance, then every retry time, then no more', () => {
    const { buffer, push, pop } = setup();
    push(1, 0); push(3, 0);
    expect(buffer.requests(4)).toEqual([]);
    expect(buffer.requests(5)).toEqual([2]);
    expect(buffer.requests(6)).toEqual([]);
    buffer.setRetryMs(30);
    expect(buffer.requests(65)).toEqual([2]);
    expect(buffer.requests(95)).toEqual([2]);
    expect(buffer.nextDeadline()).toBe(125);
    push(2, 100);
    expect(buffer.stats.recovered).toBe(1);
    expect(buffer.nextDeadline()).toBeNull();
    expect(pop(100)).toEqual([1, 2, 3]);
  });

  test('[ING-8] duplicates come out once, yet may be acknowledged: a browser probes with them', () => {
    const { buffer, push, pop } = setup();
    push(1, 0); push(3, 0);
    expect(push(3, 1)).toBe(true);
    push(2, 2);
    expect(pop(2)).toEqual([1, 2, 3]);
    expect(buffer.stats).toMatchObject({ duplicate: 1, received: 3 });
  });

  test('a lone packet from elsewhere is dropped; two in a row are a new start', () => {
    const { push, pop } = setup();
    push(1, 0);
    expect(push(30_000, 1)).toBe(false);
    push(2, 2);
    expect(pop(2)).toEqual([1, 2]);
    push(40_000, 3); push(40_001, 4);
    expect(pop(4)).toEqual(['lost 1', 40_001]);
  });

  test('more packets than it holds: the oldest hole is given up', () => {
    const { buffer, push, pop } = setup({ maxPackets: 16 });
    push(0, 0); pop(0);
    for (let sequence = 2; sequence < 30; sequence++) push(sequence, 0);
    expect(pop(0).length).toBeLessThanOrEqual(17);
    expect(buffer.stats.lost).toBeGreaterThan(0);
  });

  test('an even flow has no jitter, an uneven one has', () => {
    const { buffer, push } = setup();
    for (let i = 0; i < 50; i++) push(i, i * 10);
    expect(buffer.stats.jitterMs).toBeLessThan(0.1);
    const uneven = setup();
    for (let i = 0; i < 200; i++) uneven.buffer.push(rtpPacket(hex('00'), { sequenceNumber: i, timestamp: i * 900 }), i * 10 + (i % 2) * 8);
    expect(uneven.buffer.stats.jitterMs).toBeCloseTo(8, 0);
  });

  test('whatever the network does, packets come out in order, each once, and every hole is told', () => {
    fc.assert(fc.property(fc.array(fc.record({ skip: fc.nat(4), back: fc.nat(6), wait: fc.nat(80) }), { maxLength: 120 }), fc.nat(65_535), (steps, start) => {
      const { push, pop } = setup({ maxPackets: 32 });
      let newest = start + 65_536;
      let now = 0;
      let last: number | null = null;
      push(newest, now);
      const check = (out: Out): void => {
        let lost = 0;
        for (const item of out) {
          if (typeof item === 'string') { lost = Number(item.slice(5)); continue; }
          if (last !== null) expect(item).toBe((last + 1 + lost) & 0xffff);
          last = item;
          lost = 0;
        }
      };
      check(pop(now));
      for (const { skip, back, wait } of steps) {
        now += wait;
        newest += skip;
        push(newest - back, now);
        check(pop(now));
      }
      check(pop(now + 10_000));
    }), { numRuns: 500 });
  });
});
