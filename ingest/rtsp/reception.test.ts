import { describe, expect, test } from 'vitest';
import { parseRtpPacket, writeRtpHeader } from '../../core/rtp/packet.ts';
import type { RtpPacket } from '../../core/rtp/port.ts';
import { Reception } from './reception.ts';

const packet = (sequenceNumber: number, ssrc = 7, marker = true): RtpPacket => {
  const bytes = Buffer.alloc(20);
  writeRtpHeader(bytes, { marker, payloadType: 96, sequenceNumber, timestamp: sequenceNumber * 3_000, ssrc });
  const parsed = parseRtpPacket(bytes);
  if (!parsed) throw new Error('not RTP');
  return parsed;
};

describe('reception', () => {
  test('notices gaps, also where the sequence number wraps', () => {
    const reception = new Reception(90_000);
    expect([65_534, 65_535, 0, 1, 4].map((sequence, i) => reception.receive(packet(sequence), i * 33))).toEqual([false, false, false, false, true]);
    expect(reception.lost).toBe(2);
    expect(reception.packets).toBe(5);
    expect(reception.bytes).toBe(100);
  });

  test('[ING-7] reports loss since the last report and in all', () => {
    const reception = new Reception(90_000);
    expect(reception.report(0)).toBeNull();
    for (const sequence of [10, 11, 13]) reception.receive(packet(sequence), 0);
    expect(reception.report(0)).toMatchObject({ ssrc: 7, fractionLost: 64, cumulativeLost: 1, highestSequence: 13, lastSr: 0, delaySinceLastSr: 0 });
    reception.receive(packet(14), 0);
    reception.senderReport(0xabcd, 1_000);
    expect(reception.report(1_500)).toMatchObject({ fractionLost: 0, cumulativeLost: 1, lastSr: 0xabcd, delaySinceLastSr: 32_768 });
  });

  test('begins anew with another source and keeps the count of what was lost', () => {
    const reception = new Reception(90_000);
    for (const sequence of [1, 3]) reception.receive(packet(sequence), 0);
    expect(reception.receive(packet(60_000, 8), 0)).toBe(true);
    expect(reception.receive(packet(60_001, 8), 0)).toBe(false);
    expect(reception.lost).toBe(1);
    expect(reception.report(0)).toMatchObject({ ssrc: 8, cumulativeLost: 0 });
  });

  test('measures jitter from picture to picture', () => {
    const steady = new Reception(90_000);
    const shaky = new Reception(90_000);
    for (let i = 0; i < 100; i++) {
      steady.receive(packet(i), (i * 100) / 3);
      shaky.receive(packet(i), (i * 100) / 3 + (i % 2) * 20);
    }
    expect(steady.jitterMs).toBeLessThan(0.01);
    expect(shaky.jitterMs).toBeGreaterThan(15);
  });
});
