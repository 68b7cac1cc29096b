import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MediaError } from '../errors.ts';
import { FieldReader, childBoxes, readBoxHeader } from './box-reader.ts';
import { parameterSetsOf, readMoov } from './init-reader.ts';
import { readMoof, readPrft } from './part-reader.ts';
import { SampleColumns } from './sample-columns.ts';
import { decodeSampleIndex, encodeSampleIndex, sampleIndexSize } from './sample-index-box.ts';
import { decodeSegmentInfoBox } from './segment-info-box.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

test('a 64-bit size is read, and its header is 16 bytes long', () => {
  expect(readBoxHeader(hex('00000001 6d646174 0000000100000010'), 0, 100, 2 ** 40)).toEqual({ type: 'mdat', start: 100, payload: 116, end: 100 + 2 ** 32 + 16 });
});

test('size 0 reaches to the end of what encloses it', () => {
  expect(readBoxHeader(hex('00000000 6d646174'), 0, 0, 4_711)).toMatchObject({ payload: 8, end: 4_711 });
});

test('a header that is not there yet is no error', () => {
  expect(readBoxHeader(hex('00000010 6d6461'), 0, 0, 100)).toBeUndefined();
  expect(readBoxHeader(hex('00000001 6d646174 00000000'), 0, 0, 100)).toBeUndefined();
});

test.each(['00000007 6d646174', '00000001 6d646174 000000000000000f', '00000001 6d646174 7fffffffffffffff'])('an impossible size is refused: %s', (bytes) => {
  expect(() => readBoxHeader(hex(bytes), 0, 0, 100)).toThrow(MediaError);
});

test('a child that reaches over its parent is refused', () => {
  expect(() => childBoxes(hex('00000009 66726565'), 0, 8)).toThrow(MediaError);
});

test('a field over the end of its box is refused', () => {
  const bytes = hex('0000000a 66726565 0102 ffffffff');
  const fields = new FieldReader(bytes, { type: 'free', start: 0, payload: 8, end: 10 });
  expect(fields.u16()).toBe(0x0102);
  expect(() => fields.u8()).toThrow(MediaError);
});

/** Boxes nested at random, so that the parsers get further than the first length. */
const boxes = (depth: number): fc.Arbitrary<Buffer> => {
  const types = ['moov', 'trak', 'mdia', 'minf', 'stbl', 'stsd', 'mvex', 'trex', 'tkhd', 'mdhd', 'hdlr', 'avc1', 'avcC', 'mp4a', 'esds', 'moof', 'mfhd', 'traf', 'tfhd', 'tfdt', 'trun', 'prft', 'uuid'];
  const leaf = fc.oneof(fc.uint8Array({ maxLength: 60 }).map((b) => Buffer.from(b)), fc.constant(hex('00000000 00000000 76696465')));
  const content = depth === 0 ? leaf : fc.oneof(leaf, fc.array(fc.memo((): fc.Arbitrary<Buffer> => boxes(depth - 1))(1), { maxLength: 6 }).map((list) => Buffer.concat(list)));
  return fc.tuple(fc.constantFrom(...types), content, fc.integer({ min: -4, max: 4 }).map((n) => (n === 4 ? 3 : 0))).map(([type, body, lie]) => {
    const head = Buffer.alloc(8);
    head.writeUInt32BE(8 + body.length + lie, 0);
    head.write(type, 4, 'latin1');
    return Buffer.concat([head, body]);
  });
};

test('[FMP4] any bytes parse or are refused, and never crash', () => {
  const track = { id: 1, kind: 'video' as const, timescale: 90_000, format: 'avc1', sampleEntry: Buffer.alloc(0), width: 0, height: 0, codec: '', defaultDuration: 0, defaultSize: 0, defaultFlags: 0 };
  const readers: ((bytes: Buffer) => unknown)[] = [
    (bytes) => childBoxes(bytes, 0, bytes.length),
    (bytes) => readMoov(bytes, { type: 'moov', start: 0, payload: 8, end: bytes.length }),
    (bytes) => readMoof(bytes, { type: 'moof', start: 0, payload: 8, end: bytes.length }, 0, [track], [new SampleColumns(4)], 0),
    (bytes) => readPrft(bytes, { type: 'prft', start: 0, payload: 8, end: bytes.length }),
    (bytes) => parameterSetsOf(bytes),
    (bytes) => decodeSegmentInfoBox(bytes, { type: 'uuid', start: 0, payload: 8, end: bytes.length }),
  ];
  fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }).map((b) => Buffer.from(b)), boxes(3)), fc.constantFrom(...readers), (bytes, read) => {
    try {
      read(bytes);
    } catch (error) {
      expect(error).toBeInstanceOf(MediaError);
    }
  }), { numRuns: 3_000 });
});

test('a trun that claims four thousand million samples of no bytes is refused at once', () => {
  const moof = hex(`
    00000050 6d6f6f66  00000010 6d666864 00000000 00000001
    00000038 74726166  00000010 74666864 00020000 00000001
                       00000010 74666474 00000000 00000000
                       00000010 7472756e 00000000 ffffffff`);
  const track = { id: 1, kind: 'video' as const, timescale: 90_000, format: 'avc1', sampleEntry: Buffer.alloc(0), width: 0, height: 0, codec: '', defaultDuration: 0, defaultSize: 0, defaultFlags: 0 };
  expect(() => readMoof(moof, { type: 'moof', start: 0, payload: 8, end: moof.length }, 0, [track], [new SampleColumns()], 0)).toThrow(/more samples/);
});

test('a sample index says what was put in, and a damaged one is refused', () => {
  const video = new SampleColumns(1);
  const audio = new SampleColumns(1);
  video.push(90_000, 96_000, 3_000, 700, 20, true, 0);
  video.push(93_000, 93_000, 3_000, 720, 30, false, 1);
  const bases = [{ kind: 'video' as const, index: 0, pts: 96_000, rtpTs: 5, seq: 0, captureNtp: null }];
  const bytes = encodeSampleIndex({ video, audio, wallAtZero: [1e12, 1e12 + 0.25], bases }) ?? Buffer.alloc(0);
  expect(sampleIndexSize(bytes)).toBe(bytes.length);
  const read = decodeSampleIndex(bytes, 1_000);
  expect([[...read.video.dts], [...read.video.pts], [...read.video.offset], [...read.video.sync], [...read.video.part], read.audio.length]).toEqual([[90_000, 93_000], [96_000, 93_000], [700, 720], [1, 0], [0, 1], 0]);
  expect([read.wallAtZero, read.bases]).toEqual([[1e12, 1e12 + 0.25], bases]);
  expect(() => decodeSampleIndex(bytes, 740)).toThrow(/outside the file/);
  fc.assert(fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), fc.nat(bytes.length), (at, mask, length) => {
    const damaged = Buffer.from(bytes.subarray(0, Math.max(at + 1, length)));
    damaged[at] = (damaged[at] ?? 0) ^ mask;
    try {
      decodeSampleIndex(damaged, 1_000);
    } catch (error) {
      expect(error).toBeInstanceOf(MediaError);
    }
  }), { numRuns: 1_000 });
});
