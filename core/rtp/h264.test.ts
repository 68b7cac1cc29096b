import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { avccNals, toAvcc } from '../codec/h264/nal.ts';
import { H264Depacketizer } from './h264-depacketizer.ts';
import { H264Packetizer } from './h264-packetizer.ts';
import type { DepacketizedUnit, RtpPacket } from './port.ts';
import { hex, rtpPacket } from './testing.ts';

const SPS = hex('6742c01fd9005005ba10000003001000000303c0f1832480');
const PPS = hex('68cb8cb2');
const slice = (head: number, length: number, fill = 0xaa): Buffer => Buffer.concat([Buffer.from([head, 0x80]), Buffer.alloc(length - 2, fill)]);
const IDR = slice(0x65, 3_000);
const P = slice(0x41, 700);

const packetize = (units: readonly Buffer[], maxPayload = 1_188): RtpPacket[] => {
  const packetizer = new H264Packetizer(maxPayload);
  const packets: RtpPacket[] = [];
  units.forEach((unit, i) => {
    packetizer.packetize(unit, (payload, last) => packets.push(rtpPacket(Buffer.concat(payload), { sequenceNumber: packets.length, timestamp: 3_000 * i, marker: last })));
  });
  return packets;
};
const depacketize = (packets: readonly RtpPacket[], lostBefore: ReadonlySet<number> = new Set()) => {
  const depacketizer = new H264Depacketizer();
  const out: DepacketizedUnit[] = [];
  for (const packet of packets) {
    if (lostBefore.has(packet.sequenceNumber)) depacketizer.lost();
    depacketizer.push(packet, out);
  }
  return { out, dropped: depacketizer.droppedUnits };
};

describe('H.264 packetiser', () => {
  test('parameter sets share a STAP-A, a large slice is fragmented, the last packet has the marker', () => {
    const packets = packetize([toAvcc([SPS, PPS, IDR])]);
    expect(packets.map((p) => (p.payload[0] ?? 0) & 0x1f)).toEqual([24, 28, 28, 28]);
    expect(packets.map((p) => p.marker)).toEqual([false, false, false, true]);
    expect(packets.every((p) => p.payload.length <= 1_188)).toBe(true);
  });

  test('delimiters and filler are left out', () => {
    expect(packetize([toAvcc([hex('09f0'), P, hex('0cffff80')])]).map((p) => p.payload)).toEqual([P]);
  });
});

describe('H.264 depacketiser', () => {
  test('what was packetised comes back, byte for byte, with its parameter sets', () => {
    const units = [toAvcc([SPS, PPS, IDR]), toAvcc([P]), toAvcc([P, slice(0x41, 5_000)])];
    const { out, dropped } = depacketize(packetize(units));
    expect(out.map((u) => u.data)).toEqual(units);
    expect(out.map((u) => u.randomAccess)).toEqual([true, false, false]);
    expect(out[0]).toMatchObject({ sps: SPS, pps: PPS });
    expect(dropped).toBe(0);
  });

  test('any access unit survives any packet size', () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.constantFrom(0x67, 0x68, 0x06, 0x65, 0x41), fc.integer({ min: 1, max: 400 })), { maxLength: 12 }), fc.integer({ min: 10, max: 200 }), (shape, maxPayload) => {
      const nals = [...shape.map(([head, length]) => Buffer.concat([Buffer.from([head, 0x80]), Buffer.alloc(length, length)])), P];
      expect(depacketize(packetize([toAvcc(nals)], maxPayload)).out.map((u) => avccNals(u.data))).toEqual([nals]);
    }));
  });

  test('[quirk] a camera that never sets the marker: the next timestamp ends the unit', () => {
    const packets = packetize([toAvcc([P]), toAvcc([P]), toAvcc([P])]).map((p) => rtpPacket(p.payload, { sequenceNumber: p.sequenceNumber, timestamp: p.timestamp }));
    expect(depacketize(packets).out).toHaveLength(2);
  });

  test('[quirk] parameter sets in packets of their own, marked and under their own timestamp, join the picture that follows', () => {
    const packets = [rtpPacket(SPS, { timestamp: 1, marker: true }), rtpPacket(PPS, { timestamp: 1, marker: true }), rtpPacket(slice(0x65, 50), { timestamp: 2, marker: true })];
    const { out } = depacketize(packets);
    expect(out.map((u) => u.data)).toEqual([toAvcc([SPS, PPS, slice(0x65, 50)])]);
    expect(out[0]?.timestamp).toBe(2);
  });

  test('a lost packet costs the unit it belonged to, and no other', () => {
    const packets = packetize([toAvcc([IDR]), toAvcc([IDR]), toAvcc([P])]);
    for (let lost = 0; lost < packets.length; lost++) {
      const { out, dropped } = depacketize(packets.filter((_, i) => i !== lost), new Set([lost + 1]));
      const unit = lost < 3 ? 0 : lost < 6 ? 1 : 2;
      expect(out.map((u) => u.timestamp)).toEqual([0, 3_000, 6_000].filter((_, i) => i !== unit));
      expect(dropped).toBeLessThanOrEqual(1);
    }
  });

  test('the first slice lost with the packet before it: what is left of the picture is dropped', () => {
    const later = hex('4101aabb'); // first_mb_in_slice ≠ 0
    const packets = [rtpPacket(P, { sequenceNumber: 0, timestamp: 0, marker: true }), rtpPacket(later, { sequenceNumber: 2, timestamp: 3_000, marker: true })];
    expect(depacketize(packets, new Set([2]))).toMatchObject({ dropped: 1, out: { length: 1 } });
  });

  test.each([['interleaved STAP-B', '1900010003410203'], ['FU-A without a start', '7c41aabb'], ['STAP-A with a size past the end', '780100aa'], ['reserved type 0', '00aa']])('%s spoils the unit, not the stream', (_name, bytes) => {
    const packets = [rtpPacket(hex(bytes), { timestamp: 1 }), rtpPacket(P, { timestamp: 1, marker: true }), rtpPacket(P, { timestamp: 2, marker: true })];
    const { out, dropped } = depacketize(packets);
    expect(out.map((u) => u.timestamp)).toEqual([2]);
    expect(dropped).toBe(1);
  });

  test('a picture in fragments of a byte each is given up at a bound, and the next one is whole', () => {
    const depacketizer = new H264Depacketizer();
    const out: DepacketizedUnit[] = [];
    depacketizer.push(rtpPacket(hex('7c85aa'), { timestamp: 1 }), out);
    const fragment = rtpPacket(hex('7c05aa'), { timestamp: 1 });
    for (let i = 0; i < 70_000; i++) depacketizer.push(fragment, out);
    depacketizer.push(rtpPacket(hex('7c45aa'), { timestamp: 1, marker: true }), out);
    depacketizer.push(rtpPacket(P, { timestamp: 2, marker: true }), out);
    expect(out.map((u) => u.data)).toEqual([toAvcc([P])]);
    expect(depacketizer.droppedUnits).toBe(1);
  });

  test('any payloads give units or are dropped, and never crash', () => {
    fc.assert(fc.property(fc.array(fc.record({ payload: fc.uint8Array({ maxLength: 60 }), timestamp: fc.nat(3), marker: fc.boolean(), type: fc.constantFrom(1, 5, 24, 28), lost: fc.boolean() }), { maxLength: 40 }), (packets) => {
      const depacketizer = new H264Depacketizer();
      const out: DepacketizedUnit[] = [];
      for (const { payload, timestamp, marker, type, lost } of packets) {
        if (payload.length > 0) payload[0] = ((payload[0] ?? 0) & 0xe0) | type;
        if (lost) depacketizer.lost();
        depacketizer.push(rtpPacket(payload, { timestamp, marker }), out);
      }
      for (const unit of out) avccNals(unit.data);
    }), { numRuns: 1_000 });
  });
});
