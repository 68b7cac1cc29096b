import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { AccessUnit } from '../core/access-unit.ts';
import { MediaError } from '../core/errors.ts';
import { MessageReader } from './message-reader.ts';
import { MAX_MESSAGE_BYTES, MAX_PICTURE_BYTES, decodeFromChild, decodeToChild, encodeAccessUnitHeader, encodeAnnotatedUnitHeader, encodeBurnIn, encodeBurnInStats, encodeCamera, encodeCodeStats, encodeCodes, encodeHardware, encodeHello, encodeKeyframe, encodeModels, encodeNoStill, encodePictureHeader, encodePictures, encodeRemove, encodeResult, encodeStats, encodeStill } from './protocol.ts';
import type { CameraMessage, CodecMessage, CodesMessage, HardwareMessage, PictureHeader, ResultMessage } from './protocol.ts';

const unit = (data: Buffer, over: Partial<AccessUnit> = {}): AccessUnit => ({
  kind: 'video', frame: { stream: 'line-1', epoch: 1_750_000_000_000, rtpTs: 4_000_000_000, captureNtp: null, seq: 42 },
  pts: 90_000, dts: 90_000, wall: 1_750_000_001_000.25, arrivedAt: 5, randomAccess: true, data, byteLength: data.length, tracks: { video: null, audio: null }, ...over,
});
const CAMERA: CameraMessage = {
  handle: 3, camera: 'line-1', codec: { codec: 'h264', sps: 'Z2QAKA==', pps: 'aO4=' }, clockRate: 90_000,
  detectors: [{ id: 'detect', model: 'nanodet', fps: 15, confidence: null, tracking: true }], lastTrack: 0,
};
const HARDWARE: HardwareMessage = { decode: { h264: { type: 'vaapi', device: '/dev/dri/renderD128' }, av1: { type: 'cuda', device: null } }, encode: null, software: ['line-2'] };
const CODECS_OF_CAMERAS: CodecMessage[] = [{ codec: 'h265', vps: 'QAE=', sps: 'QgE=', pps: 'RAE=' }, { codec: 'vp8' }, { codec: 'vp9' }, { codec: 'av1' }];
const RESULT: ResultMessage = {
  handle: 3, detector: 'detect',
  result: {
    frame: { stream: 'line-1', epoch: 1, rtpTs: 2, captureNtp: 3.5, seq: 4 }, capturedAt: 5, model: 'm', modelDigest: 'd', inferenceMs: 6.5, width: 1280, height: 720,
    detections: [{ className: 'person', classId: 0, confidence: 0.5, bbox: { x: 1, y: 2, width: 3, height: 4 }, trackId: null }],
  },
  timings: { queueMs: 1, waitMs: 2, inferenceMs: 3, shareMs: 3, totalMs: 4 },
};

const PICTURE: PictureHeader = {
  handle: 3, streams: [1, 2], stills: [7], frame: { stream: 'line-1', epoch: 1, rtpTs: 2, captureNtp: null, seq: 4 }, capturedAt: 5.5, pts: 33.3, format: 'webp', width: 641, height: 361,
  sourceWidth: 1280, sourceHeight: 720, drawn: { how: 'held', ageMs: 66.7 }, fresh: true, dropped: 3,
};

/** All messages of a byte stream cut into chunks of `size`. */
const read = (bytes: Buffer, size: number): { readonly type: number; readonly body: Buffer }[] => {
  const found: { type: number; body: Buffer }[] = [];
  const reader = new MessageReader((type, body) => { found.push({ type, body: Buffer.from(body) }); });
  for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size));
  return found;
};

test('every message that is written is read, however the pipe cuts it', () => {
  const data = Buffer.from('not a picture, but bytes');
  const bytes = Buffer.concat([
    encodeHello({ workers: [{ address: '10.0.0.2:7001', token: 'sesame' }], deadlineMs: 1000 }),
    encodeCamera(CAMERA),
    encodeAccessUnitHeader(3, unit(data, { frame: { stream: 'line-1', epoch: 7, rtpTs: 1, captureNtp: 12.5, seq: 9 } }), true), data,
    encodeAccessUnitHeader(3, unit(Buffer.alloc(0)), false),
    encodePictures({ handle: 3, streams: [{ id: 0, spec: { format: 'jpeg', width: 640, height: null, quality: 80, annotated: false }, fps: 0.5 }] }),
    encodeStill({ handle: 3, id: 9, spec: { format: 'png', width: null, height: 16, quality: 1, annotated: true } }),
    encodeBurnIn({ handle: 3, on: true, maxHeight: 720 }),
    encodeKeyframe(3),
    encodeHardware(HARDWARE),
    ...CODECS_OF_CAMERAS.map((codec) => encodeCamera({ ...CAMERA, codec })),
    encodeCamera({ ...CAMERA, codes: { fps: 0.5, formats: ['qr', 'code_128'] } }),
    encodeRemove(3),
  ]);
  fc.assert(fc.property(fc.integer({ min: 1, max: bytes.length }), (size) => {
    const messages = read(bytes, size).map(({ type, body }) => decodeToChild(type, body));
    expect(messages).toEqual([
      { type: 'hello', workers: [{ address: '10.0.0.2:7001', token: 'sesame' }], deadlineMs: 1000 },
      { type: 'camera', ...CAMERA },
      { type: 'access-unit', handle: 3, frame: { stream: '', epoch: 7, rtpTs: 1, captureNtp: 12.5, seq: 9 }, pts: 90_000, wall: 1_750_000_001_000.25, randomAccess: true, decodeOnly: true, data },
      { type: 'access-unit', handle: 3, frame: { stream: '', epoch: 1_750_000_000_000, rtpTs: 4_000_000_000, captureNtp: null, seq: 42 }, pts: 90_000, wall: 1_750_000_001_000.25, randomAccess: true, decodeOnly: false, data: Buffer.alloc(0) },
      { type: 'pictures', handle: 3, streams: [{ id: 0, spec: { format: 'jpeg', width: 640, height: null, quality: 80, annotated: false }, fps: 0.5 }] },
      { type: 'still', handle: 3, id: 9, spec: { format: 'png', width: null, height: 16, quality: 1, annotated: true } },
      { type: 'burn-in', handle: 3, on: true, maxHeight: 720 },
      { type: 'keyframe', handle: 3 },
      { type: 'hardware', ...HARDWARE },
      ...CODECS_OF_CAMERAS.map((codec) => ({ type: 'camera', ...CAMERA, codec })),
      { type: 'camera', ...CAMERA, codes: { fps: 0.5, formats: ['qr', 'code_128'] } },
      { type: 'remove', handle: 3 },
    ]);
  }));
});

test('the largest picture a depacketiser gives passes', () => {
  const data = Buffer.alloc(16 << 20);
  expect(read(Buffer.concat([encodeAccessUnitHeader(3, unit(data), false), data]), 1 << 20)).toHaveLength(1);
});

test.each([
  ['a sequence number with a fraction', { frame: { ...RESULT.result.frame, seq: 1.5 } }], ['a negative timestamp', { frame: { ...RESULT.result.frame, rtpTs: -1 } }],
  ['a class beyond 32 bits', { detections: [{ ...RESULT.result.detections[0]!, classId: 2 ** 40 }] }], ['a width beyond 32 bits', { width: 2 ** 33 }],
])('%s is refused: the journal has no place for it', (_name, change) => {
  const [message] = read(encodeResult({ ...RESULT, result: { ...RESULT.result, ...change } }), 4096);
  expect(() => decodeFromChild(message!.type, message!.body)).toThrow(MediaError);
});

test('what a child says is read', () => {
  const stats = { handle: 1, decodersActive: 1, decodedFrames: 30, decoder: 'vaapi /dev/dri/renderD128', failedDevices: ['cuda'], skipped: { fps: 15 }, refusedModels: ['m'], awaitingRandomAccess: false };
  const models = [{ name: 'm', classes: 'f'.repeat(64) }];
  const [a, b, c] = read(Buffer.concat([encodeResult(RESULT), encodeStats(stats), encodeModels(models)]), 7);
  expect(a && decodeFromChild(a.type, a.body)).toEqual({ type: 'result', ...RESULT });
  expect(b && decodeFromChild(b.type, b.body)).toEqual({ type: 'stats', ...stats });
  expect(c && decodeFromChild(c.type, c.body)).toEqual({ type: 'models', models });
});

test('[PRO-2] codes come as they were read, the most that fit into a picture, too; what lies outside of it, or is longer than any code, is refused', () => {
  const code: CodesMessage['codes'][number] = { format: 'qr', text: '製'.repeat(2_000), bytes: null, corners: [[0, 0], [1, 0], [1, 1], [0, 1]] };
  const message: CodesMessage = { handle: 3, frame: RESULT.result.frame, capturedAt: 5.5, codes: [...Array.from({ length: 15 }, () => code), { ...code, format: 'data_bar', text: null, bytes: 'AP8=' }] };
  const stats = { handle: 3, looked: 2, skipped: { superseded: 1, late: 4 } };
  const messages = read(Buffer.concat([encodeCodes(message), encodeCodeStats(stats)]), 4096).map(({ type, body }) => decodeFromChild(type, body));
  expect(messages).toEqual([{ type: 'codes', ...message }, { type: 'code-stats', ...stats }]);
  for (const wrong of [{ corners: [[0, 0], [1.1, 0], [1, 1], [0, 1]] }, { text: 'x'.repeat(7_090) }, { format: 'of a later version' }, { bytes: 'no base64' }]) {
    const [refused] = read(encodeCodes({ ...message, codes: [{ ...code, ...wrong } as typeof code] }), 4096);
    expect(() => decodeFromChild(refused!.type, refused!.body)).toThrow(MediaError);
  }
});

test('[DIS-4] an access unit with boxes burned in comes back as it went, and what became of the others', () => {
  const data = Buffer.from('H.264 with boxes');
  const stats = { handle: 3, encoders: 1, encoded: 30, dropped: { encoder_busy: 2 } };
  const messages = read(Buffer.concat([encodeAnnotatedUnitHeader(3, unit(data)), data, encodeBurnInStats(stats)]), 9).map(({ type, body }) => decodeFromChild(type, body));
  expect(messages).toEqual([
    { type: 'annotated', handle: 3, frame: { stream: '', epoch: 1_750_000_000_000, rtpTs: 4_000_000_000, captureNtp: null, seq: 42 }, pts: 90_000, wall: 1_750_000_001_000.25, randomAccess: true, data },
    { type: 'burn-in-stats', ...stats },
  ]);
});

test('[EXT-9] a picture is read with its bytes as they are, however the pipe cuts it, none at all included', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 500 }), fc.integer({ min: 1, max: 700 }), (bytes, size) => {
    const [message, failure] = read(Buffer.concat([encodePictureHeader(PICTURE, bytes.length), bytes, encodeNoStill({ handle: 3, id: 7, why: 'too_large' })]), size);
    expect(message && decodeFromChild(message.type, message.body)).toEqual({ type: 'picture', ...PICTURE, bytes: Buffer.from(bytes) });
    expect(failure && decodeFromChild(failure.type, failure.body)).toEqual({ type: 'no-still', handle: 3, id: 7, why: 'too_large' });
  }));
});

test('[EXT-9] the largest picture a child may send passes, with all who may wait for it', () => {
  const header = { ...PICTURE, streams: Array.from({ length: 64 }, () => Number.MAX_SAFE_INTEGER), stills: Array.from({ length: 256 }, () => Number.MAX_SAFE_INTEGER) };
  const [message] = read(Buffer.concat([encodePictureHeader(header, MAX_PICTURE_BYTES), Buffer.alloc(MAX_PICTURE_BYTES)]), 1 << 20);
  expect(message && decodeFromChild(message.type, message.body)).toMatchObject({ type: 'picture', streams: header.streams });
});

test.each([['shorter than its own length', Buffer.from([0, 0])], ['whose header ends behind it', Buffer.from([0, 0, 0, 9, 0x7b, 0x7d])], ['whose header says nothing', Buffer.from([0, 0, 0, 2, 0x7b, 0x7d])], ['whose header is endless', Buffer.from([0xff, 0xff, 0xff, 0xff])]])('a picture %s is refused', (_name, body) => {
  expect(() => decodeFromChild(19, body)).toThrow(MediaError);
});

test('a length beyond the limit, or of nothing, ends the conversation', () => {
  for (const length of [0, MAX_MESSAGE_BYTES + 2, 0xffffffff]) {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(length);
    expect(() => read(head, 5)).toThrow(MediaError);
  }
});

test('any bytes are messages or are refused, and never crash', () => {
  const tryAll = (bytes: Uint8Array): void => {
    try {
      for (const { type, body } of read(Buffer.from(bytes), 50)) for (const decode of [decodeToChild, decodeFromChild]) {
        try { decode(type, body); } catch (error) { expect(error).toBeInstanceOf(MediaError); }
      }
    } catch (error) {
      expect(error).toBeInstanceOf(MediaError);
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), tryAll));
  // Well framed, wrong inside.
  fc.assert(fc.property(fc.constantFrom(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 99), fc.oneof(fc.uint8Array({ maxLength: 100 }), fc.json().map((text) => new TextEncoder().encode(text))), (type, body) => {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(body.length + 1);
    head.writeUInt8(type, 4);
    tryAll(Buffer.concat([head, body]));
  }));
});
