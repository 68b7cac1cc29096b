import { expect, test } from 'vitest';
import { SampleColumns } from '../core/fmp4/sample-columns.ts';
import { MediaError } from '../core/errors.ts';
import { selectRange } from './playback-selection.ts';
import type { SegmentIndex } from './segment-index.ts';

const T0 = 1_750_000_000_000;
const TRACK = { id: 1, timescale: 90_000, format: 'avc1', sampleEntry: Buffer.alloc(8), width: 0, height: 0, codec: 'avc1', defaultDuration: 0, defaultSize: 0, defaultFlags: 0 };

interface Shape { readonly at: number; readonly session?: string; readonly epoch?: number; readonly pictures?: number; readonly drift?: number; readonly startsInGop?: boolean; readonly sound?: boolean }

/** A second of 10 pictures a second (IDR first) that began at wall `T0 + at`, on a timeline counting from T0 − 1 s. */
const segment = ({ at, session = 's', epoch = 1, pictures = 10, drift = 0, startsInGop = false, sound = false }: Shape): SegmentIndex => {
  const samples = new SampleColumns();
  for (let i = 0; i < pictures; i++) samples.push((at + 1000 + i * 100) * 90, (at + 1000 + i * 100) * 90, 9000, 1000 + i * 10, 10, i === 0 && !startsInGop, 0);
  const audio = new SampleColumns();
  for (let i = 0; i < 50; i++) audio.push((at + 1000 + i * 20) * 48, (at + 1000 + i * 20) * 48, 960, 5000 + i, 1, true, 0);
  const info = { version: 1 as const, id: `cam/${String(at)}`, camera: 'cam', sessionId: session, sessionStart: T0, epoch, sequence: 0, start: T0 + at, gapBefore: null, tracks: [], frames: [] };
  return {
    info, wallAtZero: [T0 - 1000 + drift], initBytes: 0, mediaStart: 0, wholeBytes: 0, defect: null, cutAt: null,
    tracks: [
      { track: { ...TRACK, kind: 'video' }, samples, bases: [] },
      ...(sound ? [{ track: { ...TRACK, id: 2, kind: 'audio' as const, format: 'Opus', timescale: 48_000 }, samples: audio, bases: [] }] : []),
    ],
  };
};
const select = (segments: readonly SegmentIndex[], from: number, to: number) => {
  const { firstWall, lastWall, sources, window } = selectRange(segments, T0 + from, T0 + to);
  return { first: firstWall - T0, last: lastWall - T0, ranges: sources.map(({ ranges }) => ranges.map(({ first, last }) => [first, last])), window, shifts: sources.map(({ shift }) => shift) };
};

test.each([
  { from: 300, first: 300, why: 'the picture of that very moment' },
  { from: 349, first: 300, why: 'the nearest, which is being shown' },
  { from: 351, first: 400, why: 'the nearest, half a frame ahead' },
  { from: -5_000, first: 0, why: 'the first there is' },
])('[REC-5] from $from begins with $why', ({ from, first }) => {
  expect(select([segment({ at: 0 })], from, 900).first).toBe(first);
});

test('[REC-5] the last picture begins before the end; pictures from the key frame on are there for decoding', () => {
  expect(select([segment({ at: 0 })], 400, 700)).toMatchObject({ first: 400, last: 600, ranges: [[[0, 7]]], window: { start: 1_400, end: 1_700 } });
});

test('[REC-5] exactly one picture', () => {
  expect(select([segment({ at: 0 }), segment({ at: 1_000 })], 1_000, 1_100)).toMatchObject({ first: 1_000, last: 1_000, ranges: [[[0, 1]]] });
});

test('[REC-4] a range that begins in a gap begins after it, one that ends in a gap ends before it', () => {
  const gap = [segment({ at: 0 }), segment({ at: 5_000 })];
  expect(select(gap, 2_000, 5_500)).toMatchObject({ first: 5_000, last: 5_400 });
  expect(select(gap, 500, 3_000)).toMatchObject({ first: 500, last: 900 });
  expect(() => select(gap, 2_000, 3_000)).toThrow(MediaError);
});

test('[REC-4] another session is put where its wall time says; the timelines of sessions have nothing to do with each other', () => {
  const later = segment({ at: 0, session: 't', drift: 60_000 }); // begins a minute later, its timeline anew
  expect(select([segment({ at: 0 }), later], 0, 70_000)).toMatchObject({ shifts: [0, 60_000], window: { start: 1_000, end: 62_000 } });
});

test('within an epoch pictures keep their distances until the clocks are a second apart; a new epoch is moved to wall time', () => {
  expect(select([segment({ at: 0 }), segment({ at: 1_000, drift: 900 })], 0, 3_000).shifts).toEqual([0, 0]);
  expect(select([segment({ at: 0 }), segment({ at: 1_000, drift: 1_100 })], 0, 4_000).shifts).toEqual([0, 1_100]);
  expect(select([segment({ at: 0 }), segment({ at: 1_000, epoch: 2, drift: 150 })], 0, 3_000).shifts).toEqual([0, 150]);
});

test('a file that begins in the middle of a GOP takes what it needs from the one before', () => {
  expect(select([segment({ at: 0 }), segment({ at: 1_000, startsInGop: true })], 1_300, 1_500)).toMatchObject({ first: 1_300, ranges: [[[0, 10]], [[0, 5]]] });
});

test('sound is cut to the window, with 80 ms before it for its decoder', () => {
  expect(select([segment({ at: 0, sound: true })], 400, 700).ranges).toEqual([[[0, 7], [16, 35]]]);
});
