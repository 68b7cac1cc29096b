import { expect, test } from 'vitest';
import { SampleColumns } from '../core/fmp4/sample-columns.ts';
import { keyPictureAt, pictureAt } from './picture-selection.ts';
import type { SegmentIndex } from './segment-scan.ts';

const T0 = 1_750_000_000_000;
const track = { id: 1, kind: 'video' as const, timescale: 90_000, format: 'avc1', sampleEntry: Buffer.alloc(0), width: 1280, height: 720, codec: 'avc1', defaultDuration: 0, defaultSize: 0, defaultFlags: 0 };

/** 30 pictures a second from `from` s on for a second; in decode order I P B P B … if `bframes`; key frame first unless `open`. */
const second = (from: number, { bframes = false, startsInGop = false } = {}): SegmentIndex => {
  const samples = new SampleColumns();
  for (let i = 0; i < 30; i++) {
    const shown = !bframes || i === 0 ? i : i % 2 === 1 ? Math.min(29, i + 1) : i - 1;
    samples.push(from * 90_000 + i * 3000, from * 90_000 + shown * 3000, 3000, 1000 * i, 1000, i === 0 && !startsInGop, Math.floor(i / 6));
  }
  const info = { version: 1 as const, id: `cam/${String(from)}-s-0`, camera: 'cam', sessionId: 's', sessionStart: T0, epoch: 1, sequence: from, start: T0 + from * 1000, gapBefore: null, tracks: [], frames: [] };
  return { info, tracks: [{ track, samples, bases: [] }], wallAtZero: [0, 0, 0, 0, 0].map(() => T0), initBytes: 0, mediaStart: 0, wholeBytes: 0, defect: null, cutAt: null };
};
const at = (frame: number): number => Math.floor(T0 + (frame * 1000) / 30);

test('[REC-5] the picture of a moment is decoded from its key frame on and no further', () => {
  const indexes = [second(0), second(1)];
  expect(pictureAt(indexes, at(17))).toMatchObject({ parts: [{ index: 0, first: 0, last: 18 }] });
  expect(pictureAt(indexes, at(30))).toMatchObject({ parts: [{ index: 1, first: 0, last: 1 }] });
  // In decode order picture 4 stands at 3, before the B picture 3.
  expect(pictureAt([second(0, { bframes: true })], at(4))).toMatchObject({ parts: [{ index: 0, first: 0, last: 4 }] });
  expect(pictureAt([second(0, { bframes: true })], at(3))).toMatchObject({ parts: [{ index: 0, first: 0, last: 5 }] });
});

test('[REC-5] a file that begins within a GOP takes the one before it along', () => {
  expect(pictureAt([second(0), second(1, { startsInGop: true })], at(35))).toMatchObject({ parts: [{ index: 0, first: 0, last: 30 }, { index: 1, first: 0, last: 6 }] });
});

test('[REC-5] a moment at which nothing was recorded has no picture', () => {
  const indexes = [second(0), second(5)];
  expect(pictureAt(indexes, T0 + 3000)).toBeUndefined();
  expect(pictureAt(indexes, T0 - 500)).toBeUndefined();
  expect(pictureAt([], T0)).toBeUndefined();
  expect(pictureAt(indexes, at(150) - 10)).toMatchObject({ parts: [{ index: 1, first: 0, last: 1 }] });
});

test('[REC-5] a sprite is the key frame before its moment', () => {
  expect(keyPictureAt(second(0), at(20))).toMatchObject({ parts: [{ first: 0, last: 1 }], wall: T0 });
  expect(keyPictureAt(second(0, { startsInGop: true }), at(20))).toBeUndefined();
});
