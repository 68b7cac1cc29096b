import fc from 'fast-check';
import { expect, test } from 'vitest';
import { writePart } from './part-writer.ts';
import type { PartInput } from './part-writer.ts';

/** Hex with white space and `| comments`. */
const bytes = (hex: string): Buffer => Buffer.from(hex.replace(/\|.*$/gm, '').replace(/\s+/g, ''), 'hex');

const CASES: readonly { name: string; part: PartInput; hex: string }[] = [
  {
    name: '[FMP4-1] one IDR and one B-frame with a negative composition offset',
    part: {
      sequence: 4,
      reference: { trackId: 1, wall: 500, mediaTime: 93_000 },
      tracks: [
        {
          trackId: 1,
          baseDecodeTime: 90_000,
          samples: [
            { data: Buffer.from([1, 2, 3]), duration: 3_000, compositionOffset: 3_000, randomAccess: true },
            { data: Buffer.from([4]), duration: 3_000, compositionOffset: -3_000, randomAccess: false },
          ],
        },
      ],
    },
    hex: `
      00000020 70726674 01000018 00000001     | prft v1, flags 24, track 1
        83aa7e80 80000000 00000000 00016b48   |   NTP of Unix 0.5 s; media time 93000
      00000078 6d6f6f66                       | moof
        00000010 6d666864 00000000 00000004   |   mfhd #4
        00000060 74726166                     |   traf
          00000010 74666864 00020000 00000001 |     tfhd, default base is moof, track 1
          00000014 74666474 01000000 00000000 00015f90 | tfdt v1 90000
          00000034 7472756e 01000f01 00000002 00000080 | trun v1, 2 samples, data at 128
            00000bb8 00000003 02000000 00000bb8        |   sync, +3000
            00000bb8 00000001 01010000 fffff448        |   not sync, −3000
      0000000c 6d646174                       | mdat
        010203 04`,
  },
  {
    name: '[FMP4-2] audio alone, without flags and offsets of each sample',
    part: {
      sequence: 1,
      reference: { trackId: 2, wall: 1_000, mediaTime: 4_294_967_296 },
      tracks: [{ trackId: 2, baseDecodeTime: 4_294_967_296, samples: [{ data: Buffer.from([9]), duration: 1_024, compositionOffset: 0, randomAccess: true }] }],
    },
    hex: `
      00000020 70726674 01000018 00000002 83aa7e81 00000000 00000001 00000000
      00000060 6d6f6f66
        00000010 6d666864 00000000 00000001
        00000048 74726166
          00000010 74666864 00020000 00000002
          00000014 74666474 01000000 00000001 00000000
          0000001c 7472756e 01000301 00000001 00000068 00000400 00000001
      00000009 6d646174 09`,
  },
];

test.each(CASES)('encodes $name', ({ part, hex }) => {
  expect(Buffer.concat(writePart(part)).toString('hex')).toBe(bytes(hex).toString('hex'));
});

test('[FMP4-3] samples are handed on as the buffers they came in, video before audio', () => {
  const video = Buffer.from('video');
  const audio = Buffer.from('audio');
  const chunks = writePart({
    sequence: 1,
    reference: { trackId: 1, wall: 0, mediaTime: 0 },
    tracks: [
      { trackId: 1, baseDecodeTime: 0, samples: [{ data: video, duration: 1, compositionOffset: 0, randomAccess: true }] },
      { trackId: 2, baseDecodeTime: 0, samples: [{ data: audio, duration: 1, compositionOffset: 0, randomAccess: true }] },
    ],
  });
  expect(chunks).toHaveLength(4);
  expect(chunks[2]).toBe(video);
  expect(chunks[3]).toBe(audio);
});

const sample = fc.record({
  data: fc.uint8Array({ minLength: 1, maxLength: 50 }).map((data) => Buffer.from(data)),
  duration: fc.integer({ min: 1, max: 0xffff_ffff }),
  compositionOffset: fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }),
  randomAccess: fc.boolean(),
});
const track = (trackId: number) => fc.record({ trackId: fc.constant(trackId), baseDecodeTime: fc.maxSafeNat(), samples: fc.array(sample, { minLength: 1, maxLength: 40 }) });

test('[FMP4-4] sizes add up and data offsets point at the samples, whatever is written', () => {
  fc.assert(
    fc.property(fc.tuple(track(1), track(2)), fc.nat(), (tracks, sequence) => {
      const file = Buffer.concat(writePart({ sequence, reference: { trackId: 1, wall: 1_750_000_000_123.5, mediaTime: 1 }, tracks }));
      const boxes: [string, number, number][] = [];
      let at = 0;
      while (at < file.length) {
        boxes.push([file.toString('latin1', at + 4, at + 8), at, file.readUInt32BE(at)]);
        at += file.readUInt32BE(at);
      }
      expect(at).toBe(file.length);
      expect(boxes.map(([type]) => type)).toEqual(['prft', 'moof', 'mdat']);
      const moof = boxes[1]?.[1] ?? 0;
      let trun = moof;
      for (const { samples } of tracks) {
        trun = file.indexOf('trun', trun + 1, 'latin1');
        const data = moof + file.readUInt32BE(trun + 12);
        const all = Buffer.concat(samples.map((s) => s.data));
        expect(file.subarray(data, data + all.length)).toEqual(all);
      }
    }),
    { numRuns: 50 },
  );
});
