import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AacDepacketizer } from './aac-depacketizer.ts';
import { OpusDepacketizer } from './opus-depacketizer.ts';
import { OpusPacketizer } from './opus-packetizer.ts';
import type { DepacketizedUnit, Depacketizer } from './port.ts';
import { hex, rtpPacket } from './testing.ts';
import { Vp8Depacketizer } from './vp8-depacketizer.ts';
import { Vp8Packetizer } from './vp8-packetizer.ts';

const run = (depacketizer: Depacketizer, packets: readonly (ReturnType<typeof rtpPacket> | 'lost')[]) => {
  const out: DepacketizedUnit[] = [];
  for (const packet of packets) {
    if (packet === 'lost') depacketizer.lost();
    else depacketizer.push(packet, out);
  }
  return out;
};
const KEY = Buffer.concat([hex('d0e6019d012a0005d002'), Buffer.alloc(2_500, 9)]);

describe('VP8', () => {
  test('what was packetised comes back with the size of the key frame', () => {
    const packets: ReturnType<typeof rtpPacket>[] = [];
    new Vp8Packetizer(1_188).packetize(KEY, (payload, last) => packets.push(rtpPacket(Buffer.concat(payload), { timestamp: 5, marker: last })));
    expect(packets).toHaveLength(3);
    expect(run(new Vp8Depacketizer(), packets)).toEqual([{ timestamp: 5, data: KEY, randomAccess: true, sps: null, pps: null, size: { width: 1280, height: 720 } }]);
  });

  test.each([['plain', '10'], ['7-bit picture id', '908011'], ['15-bit picture id', '90809234'], ['all fields, as Chromium sends them', '90e0 8123 45 60']])('the payload descriptor is skipped: %s', (_name, descriptor) => {
    expect(run(new Vp8Depacketizer(), [rtpPacket(Buffer.concat([hex(descriptor), hex('0102')]), { marker: true })]).map((u) => u.data)).toEqual([hex('0102')]);
  });

  test('a frame with a lost packet is dropped, the next is whole', () => {
    const depacketizer = new Vp8Depacketizer();
    const out = run(depacketizer, [rtpPacket(hex('10aa'), { timestamp: 1 }), 'lost', rtpPacket(hex('00cc'), { timestamp: 1, marker: true }), 'lost', rtpPacket(hex('00dd'), { timestamp: 2, marker: true }), rtpPacket(hex('1001'), { timestamp: 3, marker: true })]);
    expect(out.map((u) => u.timestamp)).toEqual([3]);
    expect(depacketizer.droppedUnits).toBe(2);
  });
});

describe('Opus', () => {
  test('one packet is one unit', () => {
    const packets: ReturnType<typeof rtpPacket>[] = [];
    new OpusPacketizer().packetize(hex('78aabb'), (payload, last) => packets.push(rtpPacket(Buffer.concat(payload), { timestamp: 960, marker: last })));
    expect(run(new OpusDepacketizer(), packets)).toMatchObject([{ timestamp: 960, data: hex('78aabb'), randomAccess: true }]);
    expect(packets[0]?.marker).toBe(false);
  });
});

describe('AAC (RFC 3640, AAC-hbr)', () => {
  const HBR = { sizeLength: 13, indexLength: 3, indexDeltaLength: 3 };

  test('several units in a packet get their own timestamps', () => {
    const packet = rtpPacket(hex('0020 0010 0018 aabb ccddee'), { timestamp: 0xffff_ff00, marker: true });
    expect(run(new AacDepacketizer(HBR), [packet]).map((u) => [u.timestamp, u.data.toString('hex')])).toEqual([[0xffff_ff00, 'aabb'], [0x300, 'ccddee']]);
  });

  test('a unit larger than a packet is put together', () => {
    const parts = [rtpPacket(hex('0010 0020 aabb'), { timestamp: 7 }), rtpPacket(hex('0010 0020 ccdd'), { timestamp: 7, marker: true })];
    expect(run(new AacDepacketizer(HBR), parts).map((u) => u.data)).toEqual([hex('aabbccdd')]);
  });

  test('a fragment lost is counted, and the next unit is whole', () => {
    const depacketizer = new AacDepacketizer(HBR);
    const out = run(depacketizer, [rtpPacket(hex('0010 0020 aabb'), { timestamp: 7 }), 'lost', rtpPacket(hex('0010 0010 1122'), { timestamp: 9, marker: true })]);
    expect(out.map((u) => u.data)).toEqual([hex('1122')]);
    expect(depacketizer.droppedUnits).toBe(1);
  });
});

test.each([
  ['VP8', () => new Vp8Depacketizer()],
  ['Opus', () => new OpusDepacketizer()],
  ['AAC', () => new AacDepacketizer({ sizeLength: 13, indexLength: 3, indexDeltaLength: 3 })],
  ['AAC with odd lengths', () => new AacDepacketizer({ sizeLength: 6, indexLength: 0, indexDeltaLength: 5, frameSamples: 960 })],
])('%s: any payloads give units or are dropped, and never crash', (_name, create) => {
  fc.assert(fc.property(fc.array(fc.record({ payload: fc.uint8Array({ maxLength: 40 }), timestamp: fc.nat(3), marker: fc.boolean(), lost: fc.boolean() })), (packets) => {
    run(create(), packets.flatMap(({ payload, timestamp, marker, lost }) => [...(lost ? ['lost' as const] : []), rtpPacket(payload, { timestamp, marker })]));
  }), { numRuns: 1_000 });
});
