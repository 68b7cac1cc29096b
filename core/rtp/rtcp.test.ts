import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ntpMiddle, ntpToUnix, unixToNtp } from './ntp.ts';
import { parseRtcp } from './rtcp.ts';
import { writeBye, writeFir, writeNack, writePli, writeReceiverReport, writeRemb, writeSdesCname, writeSenderReport } from './rtcp-writer.ts';
import { hex, rtpPacket } from './testing.ts';
import { TransportFeedbackBuilder } from './transport-feedback-writer.ts';
import { unwrapRtx, wrapRtx } from './rtx.ts';

const NOW = 1_750_000_000_250;
const REPORT = { ssrc: 5, fractionLost: 12, cumulativeLost: -3, highestSequence: 0x0001_fffe, jitter: 90, lastSr: 0xabcd_0123, delaySinceLastSr: 65_536 };

describe('RTCP', () => {
  /** One table, both directions. */
  test.each([
    ['PLI', writePli(1, 2), '81ce0002 00000001 00000002', { type: 'pli', sender: 1, media: 2 }],
    ['FIR', writeFir(1, 2, 7), '84ce0004 00000001 00000000 00000002 07000000', { type: 'fir', sender: 1, entries: [{ ssrc: 2, sequence: 7 }] }],
    ['NACK over the wrap', writeNack(1, 2, [0xfffe, 0xffff, 3, 40]), '81cd0004 00000001 00000002 fffe0011 00280000', { type: 'nack', sender: 1, media: 2, lost: [0xfffe, 0xffff, 3, 40] }],
    ['REMB', writeRemb(1, 2_500_000, [9]), '8fce0005 00000001 00000000 52454d42 0112625a 00000009', { type: 'remb', sender: 1, bitrateBps: 2_500_000, ssrcs: [9] }],
    ['receiver report', writeReceiverReport(1, [REPORT]), '81c90007 00000001 00000005 0cfffffd 0001fffe 0000005a abcd0123 00010000', { type: 'rr', ssrc: 1, reports: [REPORT] }],
    ['SDES', writeSdesCname(1, 'line-1'), '81ca0004 00000001 01066c69 6e652d31 00000000', { type: 'sdes', chunks: [{ ssrc: 1, cname: 'line-1' }] }],
    ['BYE', writeBye(3), '81cb0001 00000003', { type: 'bye', ssrcs: [3] }],
  ])('%s is written as it is read', (_name, bytes, expected, packet) => {
    expect(bytes.toString('hex')).toBe(expected.replace(/\s/g, ''));
    expect(parseRtcp(bytes)).toEqual([packet]);
  });

  test('a sender report keeps its clocks', () => {
    const [report] = parseRtcp(writeSenderReport({ ssrc: 1, ntp: NOW, rtpTs: 0xffff_0000, packets: 3, octets: 4, reports: [REPORT] }));
    expect(report).toMatchObject({ type: 'sr', ssrc: 1, rtpTs: 0xffff_0000, packets: 3, octets: 4, reports: [REPORT], ntpMiddle: ntpMiddle(NOW) });
    expect(report?.type === 'sr' && Math.round(report.ntp)).toBe(NOW);
  });

  test('a compound packet gives its parts; an unknown part is left out, a cut one ends the reading', () => {
    const compound = Buffer.concat([writeReceiverReport(1, []), hex('80cc0001 00000001'), writePli(1, 2), writeBye(3).subarray(0, 6)]);
    expect(parseRtcp(compound).map((p) => p.type)).toEqual(['rr', 'pli']);
  });

  test('any bytes are read, and never crash', () => {
    fc.assert(fc.property(fc.array(fc.record({ type: fc.integer({ min: 199, max: 207 }), first: fc.nat(63), body: fc.uint8Array({ maxLength: 64 }) }), { maxLength: 4 }), (parts) => {
      const bytes = Buffer.concat(parts.map(({ type, first, body }) => {
        const words = Math.floor(body.length / 4);
        return Buffer.concat([Buffer.from([0x80 | first, type, 0, words]), body.subarray(0, words * 4)]);
      }));
      parseRtcp(bytes);
    }), { numRuns: 3_000 });
  });

  test('NTP time survives the roll-over of its seconds in 2036', () => {
    for (const unix of [NOW, 2_085_978_497_500]) {
      const { seconds, fraction } = unixToNtp(unix);
      expect(ntpToUnix(seconds, fraction)).toBeCloseTo(unix, 3);
    }
  });
});

describe('transport-wide feedback', () => {
  const decode = (packets: readonly Buffer[]) => packets.flatMap((bytes) => parseRtcp(bytes)).flatMap((p) => (p.type === 'twcc' ? [p] : []));

  test('arrivals and gaps come back to a quarter of a millisecond', () => {
    const builder = new TransportFeedbackBuilder(1, 2);
    const arrivals: readonly (readonly [number, number])[] = [[65_534, 1_000_000], [65_535, 1_001_000], [2, 1_200_000], [1, 1_150_000]];
    for (const [sequence, micros] of arrivals) builder.record(sequence, micros);
    const [feedback] = decode(builder.build());
    expect(feedback).toMatchObject({ sender: 1, media: 2, baseSequence: 65_534, feedbackCount: 0, arrivals: [1_000_000, 1_001_000, null, 1_150_000, 1_200_000] });
    expect(builder.build()).toEqual([]);
  });

  test('what was lost between two feedbacks is told by the second', () => {
    const builder = new TransportFeedbackBuilder(1, 2);
    builder.record(10, 0);
    builder.build();
    builder.record(13, 5_000);
    expect(decode(builder.build())).toMatchObject([{ baseSequence: 11, feedbackCount: 1, arrivals: [null, null, 5_000] }]);
  });

  test('any arrivals come back, split into packets that fit', () => {
    fc.assert(fc.property(fc.uniqueArray(fc.nat(3_000), { minLength: 1, maxLength: 900 }), fc.array(fc.nat(20_000_000), { minLength: 1 }), (sequences, times) => {
      const builder = new TransportFeedbackBuilder(1, 2);
      const expected = new Map(sequences.map((sequence, i) => [sequence, times[i % times.length] ?? 0]));
      for (const [sequence, micros] of expected) builder.record(sequence, micros);
      const packets = builder.build();
      for (const packet of packets) expect(packet.length).toBeLessThan(1_200);
      const got = new Map<number, number>();
      for (const feedback of decode(packets)) feedback.arrivals.forEach((micros, i) => { if (micros !== null) got.set((feedback.baseSequence + i) & 0xffff, micros); });
      expect([...got.keys()].sort((a, b) => a - b)).toEqual([...sequences].sort((a, b) => a - b));
      for (const [sequence, micros] of got) expect(Math.abs(micros - (expected.get(sequence) ?? 0))).toBeLessThanOrEqual(125);
    }), { numRuns: 60 });
  });
});

describe('RTX', () => {
  test('what is wrapped is unwrapped', () => {
    const original = rtpPacket(hex('0a0b0c'), { sequenceNumber: 7, timestamp: 9, marker: true, payloadType: 96, ssrc: 1 });
    const wrapped = wrapRtx(original.bytes, { payloadType: 97, ssrc: 2, sequenceNumber: 100, originalSequenceNumber: 0x1234 });
    expect(wrapped.toString('hex')).toBe('80e1006400000009000000021234' + '0a0b0c');
    const parsed = rtpPacket(wrapped.subarray(12), { sequenceNumber: 100, timestamp: 9, marker: true, payloadType: 97, ssrc: 2 });
    expect(unwrapRtx(parsed, 96, 1)).toEqual(rtpPacket(hex('0a0b0c'), { sequenceNumber: 0x1234, timestamp: 9, marker: true, payloadType: 96, ssrc: 1 }));
  });

  test('padding probes carry nothing', () => {
    expect(unwrapRtx(rtpPacket(hex('0001')), 96, 1)).toBeNull();
  });
});
