import fc from 'fast-check';
import { expect, test } from 'vitest';
import { h264Track } from '../../core/codec/h264/track.ts';
import { opusTrack } from '../../core/codec/opus/opus.ts';
import { findBox, childBoxes } from '../../core/fmp4/box-reader.ts';
import { readMoov } from '../../core/fmp4/init-reader.ts';
import { writeInitSegment } from '../../core/fmp4/init-segment.ts';
import type { RecordedFile } from '../../recorder/port.ts';
import { unheard } from './unheard-file.ts';

const VIDEO = h264Track(Buffer.from('6764001facb200a00b7420000003002000000781e30649', 'hex'), Buffer.from('68ebccb22c', 'hex'));
const NEVER = new AbortController().signal;
const INIT = writeInitSegment({ video: VIDEO, audio: opusTrack() });

/** Read in pieces of `pieceBytes`. */
const fileOf = (bytes: Buffer, pieceBytes = 512 << 10): RecordedFile => ({
  byteLength: bytes.length, contentType: 'video/mp4', etag: '"abc"',
  async *read(start, end) {
    await Promise.resolve();
    for (let at = start; at < end; at += pieceBytes) yield Buffer.from(bytes.subarray(at, Math.min(end, at + pieceBytes)));
  },
});
const all = async (file: RecordedFile, start = 0, end = file.byteLength): Promise<Buffer> => {
  const pieces: Buffer[] = [];
  for await (const piece of file.read(start, end, NEVER)) pieces.push(piece);
  return Buffer.concat(pieces);
};
const kindsOf = (bytes: Buffer): string[] => readMoov(bytes, findBox(childBoxes(bytes, 0, bytes.length), 'moov')!).map(({ kind }) => kind);

test('[REC-5] an unheard file has the track of pictures alone, and is the same file in all else', async () => {
  const bytes = Buffer.concat([INIT, Buffer.from('00000010moofsoun')]);
  const file = unheard(fileOf(bytes));
  const read = await all(file);
  expect(kindsOf(INIT)).toEqual(['video', 'audio']);
  expect(kindsOf(read.subarray(0, INIT.length))).toEqual(['video']);
  expect(read.length).toBe(bytes.length);
  expect([...read].filter((byte, i) => byte !== bytes[i]).map((byte) => String.fromCharCode(byte)).join('')).toBe('meta');
  expect([file.byteLength, file.etag, file.contentType]).toEqual([bytes.length, '"abc-unheard"', 'video/mp4']);
});

test('whatever bytes of it are asked for are those of the whole', async () => {
  const whole = await all(unheard(fileOf(INIT)));
  await fc.assert(fc.asyncProperty(fc.nat(INIT.length), fc.nat(INIT.length), fc.integer({ min: 1, max: 400 }), async (a, b, pieceBytes) => {
    const [start, end] = [Math.min(a, b), Math.max(a, b)];
    expect((await all(unheard(fileOf(INIT, pieceBytes)), start, end)).equals(whole.subarray(start, end))).toBe(true);
  }));
});

test('what is without sound, or no MP4, stays as it is', async () => {
  for (const bytes of [writeInitSegment({ video: VIDEO, audio: null }), Buffer.from('nothing of the kind'), Buffer.alloc(0)]) expect((await all(unheard(fileOf(bytes)))).equals(bytes)).toBe(true);
});
