import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SIGNATURE_BOX_BYTES, decodeSignatureBox, encodeSignatureBox } from './signature-box.ts';

const kid = randomBytes(32).toString('base64url');
const signature = randomBytes(64);

test('[REC-10] a signature is read back from the end of a file', () => {
  const box = encodeSignatureBox({ kid, signature });
  expect(box.length).toBe(SIGNATURE_BOX_BYTES);
  expect(decodeSignatureBox(box)).toEqual({ kid, signature });
  expect(decodeSignatureBox(Buffer.concat([randomBytes(200), box]))).toEqual({ kid, signature });
  expect(decodeSignatureBox(Buffer.concat([box, Buffer.alloc(1)]))).toBeUndefined();
  expect(decodeSignatureBox(box.subarray(1))).toBeUndefined();
});

test('any other bytes are no signature', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (junk) => { expect(decodeSignatureBox(Buffer.from(junk))).toBeUndefined(); }));
  const box = encodeSignatureBox({ kid, signature });
  fc.assert(fc.property(fc.nat(27), fc.integer({ min: 1, max: 255 }), (at, mask) => {
    const changed = Buffer.from(box);
    changed[at] = (changed[at] ?? 0) ^ mask;
    expect(decodeSignatureBox(changed)).toBeUndefined();
  }));
});
