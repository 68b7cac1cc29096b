import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MediaError } from '../core/errors.ts';
import { MAX_SENT_PICTURE_BYTES } from './port.ts';
import { MessageReader } from './message-reader.ts';
import { decodeFromDecoder, decodeToDecoder, encodeAnswer, encodeHello, encodePictureHead, encodeReady, encodeWorkers } from './sent-picture-protocol.ts';
import type { SentPictureAnswer } from './sent-picture-protocol.ts';

const SEEN: SentPictureAnswer = {
  id: 7, seen: true, width: 1280, height: 720, modelDigest: 'd', detections: [{ className: 'person', classId: 0, confidence: 0.5, bbox: { x: 1, y: 2, width: 3, height: 4 }, trackId: null }],
  annotated: null, times: { waitingMs: 0.1, decodeMs: 4.5, resizeMs: 1, queueMs: 0, inferenceMs: 14, annotateMs: 0 },
};
const DRAWN: SentPictureAnswer = { ...SEEN, annotated: { made: true, bytes: Buffer.from('no picture either') } };
const NOT_DRAWN: SentPictureAnswer = { ...SEEN, annotated: { made: false, why: 'too_large' } };
const UNSEEN: SentPictureAnswer = { id: 8, seen: false, reason: 'damaged', detail: 'it ends' };

/** All messages of a byte stream cut into chunks of `size`. */
const read = (bytes: Buffer, size: number): { readonly type: number; readonly body: Buffer }[] => {
  const found: { type: number; body: Buffer }[] = [];
  const reader = new MessageReader((type, body) => { found.push({ type, body: Buffer.from(body) }); });
  for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size));
  return found;
};

test('[INF-7] every message that is written is read, however the pipe cuts it', () => {
  const picture = Buffer.from('not a picture, but bytes');
  const workers = [{ address: 'unix:/w' }, { address: 'gpu-1:7001', token: 'sesame' }];
  const down = Buffer.concat([
    encodeHello({ workers, deadlineMs: 1000 }), encodePictureHead({ id: 3, model: 'm', confidence: null, annotated: true }, picture.length), picture,
    encodeWorkers([]), encodePictureHead({ id: 4, model: 'ü', confidence: 0.25, annotated: false }, 0),
  ]);
  const answers = [SEEN, DRAWN, UNSEEN, NOT_DRAWN];
  const up = Buffer.concat([encodeReady(), ...answers.flatMap(encodeAnswer)]);
  fc.assert(fc.property(fc.integer({ min: 1, max: 200 }), (size) => {
    expect(read(down, size).map(({ type, body }) => decodeToDecoder(type, body))).toEqual([
      { type: 'hello', workers, deadlineMs: 1000 }, { type: 'picture', request: { id: 3, model: 'm', confidence: null, annotated: true }, bytes: picture },
      { type: 'workers', workers: [] }, { type: 'picture', request: { id: 4, model: 'ü', confidence: 0.25, annotated: false }, bytes: Buffer.alloc(0) },
    ]);
    expect(read(up, size).map(({ type, body }) => decodeFromDecoder(type, body))).toEqual([{ type: 'ready' }, ...answers.map((answer) => ({ type: 'answer', answer }))]);
  }));
});

test('[INF-7] any message is one of ours or is refused', () => {
  fc.assert(fc.property(fc.nat(20), fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.json().map((json) => Buffer.from(json))), (type, body) => {
    for (const decode of [decodeToDecoder, decodeFromDecoder]) {
      try {
        decode(type, Buffer.from(body));
      } catch (error) {
        expect(error).toBeInstanceOf(MediaError);
      }
    }
  }), { numRuns: 500 });
  const [message] = read(Buffer.concat([encodePictureHead({ id: 1, model: 'm', confidence: null, annotated: false }, MAX_SENT_PICTURE_BYTES + 1), Buffer.alloc(MAX_SENT_PICTURE_BYTES + 1)]), 1 << 20);
  expect(() => decodeToDecoder(message?.type ?? 0, message?.body ?? Buffer.alloc(0))).toThrow(MediaError);
});
