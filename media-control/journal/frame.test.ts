import { expect, test } from 'vitest';
import fc from 'fast-check';
import { FRAME_HEADER_BYTES, decodeFrame, encodeFrame } from './frame.ts';

const anyFrame = fc.record({ seq: fc.maxSafeNat(), weight: fc.integer({ min: 0, max: 0xffffffff }), payload: fc.uint8Array({ maxLength: 200 }) });

test('what is written is what is read, one after another', () => {
  fc.assert(fc.property(fc.array(anyFrame), (frames) => {
    const bytes = Buffer.concat(frames.map(encodeFrame));
    let offset = 0;
    for (const frame of frames) {
      const decoded = decodeFrame(bytes, offset);
      if (typeof decoded === 'string') throw new Error(decoded);
      expect({ ...decoded.frame, payload: Uint8Array.from(decoded.frame.payload) }).toEqual(frame);
      offset += decoded.byteLength;
    }
    expect(decodeFrame(bytes, offset)).toBe('partial');
  }));
});

test('any bytes are a frame or are refused, and never crash', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(50), (junk, offset) => {
    const decoded = decodeFrame(Buffer.from(junk), Math.min(offset, junk.length));
    if (typeof decoded !== 'string') expect(decoded.byteLength).toBeGreaterThanOrEqual(FRAME_HEADER_BYTES);
  }));
});

test('one changed bit anywhere behind the length is noticed', () => {
  const whole = encodeFrame({ seq: 7, weight: 1, payload: Buffer.from('payload') });
  for (let bit = 32; bit < whole.length * 8; bit++) {
    const bytes = Buffer.from(whole);
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(decodeFrame(bytes, 0)).toBe('damaged');
  }
});

test('every cut of a frame is partial', () => {
  const whole = encodeFrame({ seq: 7, weight: 1, payload: Buffer.from('payload') });
  for (let length = 0; length < whole.length; length++) expect(decodeFrame(whole.subarray(0, length), 0)).toBe('partial');
});
