import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MediaError } from '../core/errors.ts';
import { MAX_MESSAGE_BYTES, PictureMessageReader, decodeAnswer, decodeRequest, encodeMessage } from './picture-protocol.ts';
import type { PictureRequest } from './picture-protocol.ts';

const request: PictureRequest = { id: 7, width: 320, height: 180, format: 'jpeg', tiles: [{ left: 0, top: 0, width: 320, height: 180, decoderConfig: 'AAEC', units: [3, 2] }] };

test('what is sent in any pieces is what arrives', () => {
  const bytes = Buffer.concat(encodeMessage(request, [Buffer.from([1, 2, 3]), Buffer.from([4, 5])]));
  fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 30 }), (cuts) => {
    const seen: [PictureRequest, number[]][] = [];
    const reader = new PictureMessageReader((json, body) => { seen.push([decodeRequest(json, body), [...body]]); });
    const stream = Buffer.concat([bytes, bytes]);
    let at = 0;
    for (const cut of [...cuts, stream.length]) reader.push(stream.subarray(at, at += cut));
    expect(seen).toEqual([[request, [1, 2, 3, 4, 5]], [request, [1, 2, 3, 4, 5]]]);
  }));
});

test('any bytes are messages or refused, and never crash', () => {
  fc.assert(fc.property(fc.oneof(fc.uint8Array(), fc.uint8Array({ maxLength: 64 }).map((junk) => Buffer.concat([Buffer.from([0, 0, 0, 24, 0, 0, 0, 20]), junk]))), (junk) => {
    try {
      new PictureMessageReader((json, body) => { decodeRequest(json, body); }).push(Buffer.from(junk));
    } catch (error) { expect(error).toBeInstanceOf(MediaError); }
    try { decodeAnswer(Buffer.from(junk)); } catch (error) { expect(error).toBeInstanceOf(MediaError); }
  }));
});

test('a request must have the bytes it claims and its tiles on its canvas', () => {
  const json = (value: object): Buffer => Buffer.from(JSON.stringify(value));
  expect(decodeRequest(json(request), Buffer.alloc(5))).toEqual(request);
  expect(() => decodeRequest(json(request), Buffer.alloc(4))).toThrow(MediaError);
  expect(() => decodeRequest(json({ ...request, width: 100 }), Buffer.alloc(5))).toThrow(/beside its canvas/);
  expect(() => encodeMessage(request, [{ length: MAX_MESSAGE_BYTES } as Buffer])).toThrow(/too large/);
});
