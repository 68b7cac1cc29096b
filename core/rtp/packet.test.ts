import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isRtcp, parseRtpPacket, readExtension, writeRtpHeader } from './packet.ts';
import { hex, rtpPacket } from './testing.ts';
import { SequenceUnwrapper, sequenceDelta } from './unwrap.ts';

describe('RTP packets', () => {
  const HEADER = { marker: true, payloadType: 96, sequenceNumber: 0xfffe, timestamp: 0xdeadbeef, ssrc: 0x11223344 };

  test('what is written is read', () => {
    const bytes = Buffer.alloc(14, 7);
    writeRtpHeader(bytes, HEADER);
    expect(bytes.toString('hex')).toBe('80e0fffedeadbeef112233440707');
    expect(parseRtpPacket(bytes)).toMatchObject({ ...HEADER, payload: hex('0707') });
  });

  test('CSRCs, extension and padding are not payload', () => {
    const packet = parseRtpPacket(hex('b1e00001 00000002 00000003 aaaaaaaa bede0001 32010203 cafe 0002'));
    expect(packet?.payload).toEqual(hex('cafe'));
    expect(packet && readExtension(packet, 3)).toEqual(hex('010203'));
    expect(packet && readExtension(packet, 4)).toBeNull();
  });

  test('two-byte extensions (RFC 8285 §4.3), one of them empty', () => {
    const packet = parseRtpPacket(hex('90600001 00000002 00000003 10000002 0500 1103abcdef 00 ff'));
    expect(packet && readExtension(packet, 0x11)).toEqual(hex('abcdef'));
    expect(packet && readExtension(packet, 5)).toEqual(hex(''));
  });

  test.each([['too short', '8060'], ['version 1', '406000010000000200000003'], ['padding longer than the packet', 'a060000100000002000000030000ff'], ['padding of 0', 'a06000010000000200000003ff00'], ['extension past the end', '906000010000000200000003bede0009']])('%s: null', (_name, bytes) => {
    expect(parseRtpPacket(hex(bytes))).toBeNull();
  });

  test('any bytes are a packet or null, and their extensions are read or not', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 12, maxLength: 80 }), fc.nat(255), (junk, id) => {
      const bytes = Buffer.from(junk);
      bytes[0] = 0x80 | ((bytes[0] ?? 0) & 0x3f);
      isRtcp(bytes);
      const packet = parseRtpPacket(bytes);
      if (packet) readExtension(packet, id);
    }), { numRuns: 2_000 });
  });

  test('RTCP is told by its second byte (RFC 5761 §4)', () => {
    expect(isRtcp(hex('80c80000'))).toBe(true);
    expect(isRtcp(rtpPacket(hex('00'), { marker: true, payloadType: 127 }).bytes)).toBe(false);
  });
});

describe('unwrapping', () => {
  test('sequence numbers unwrap to what they were, if they are less than 2^15 out of order', () => {
    fc.assert(fc.property(fc.nat(65_535), fc.array(fc.integer({ min: -1_000, max: 3_000 }), { maxLength: 60 }), (start, steps) => {
      const unwrapper = new SequenceUnwrapper();
      let newest = start + 65_536;
      expect(unwrapper.unwrap(newest & 0xffff)).toBe(start);
      for (const step of steps) {
        const value = newest + step;
        expect(unwrapper.unwrap(value & 0xffff)).toBe(value - 65_536);
        newest = Math.max(newest, value);
      }
    }));
  });

  test('differences go the shorter way round', () => {
    expect(sequenceDelta(2, 65_534)).toBe(4);
    expect(sequenceDelta(65_534, 2)).toBe(-4);
  });
});
