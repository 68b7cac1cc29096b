import { expect, test } from 'vitest';
import { KeyframeRhythm } from './keyframe-rhythm.ts';
import type { Wanted } from './keyframe-rhythm.ts';

const VIDEO = { kind: 'video', codec: 'vp8', clockRate: 90_000, width: 1, height: 1, codecString: 'vp8', reorderDepth: 0 } as const;
const REORDERED = { kind: 'video', codec: 'h264', clockRate: 90_000, sps: new Uint8Array(), pps: new Uint8Array(), width: 1, height: 1, codecString: 'avc1', reorderDepth: 2 } as const;
const STILLS: Wanted = { motion: false, rates: [] };

/** Ten pictures a second with a key frame at these seconds: at which seconds key frames suffice. */
const sufficed = (seconds: number, keyframes: readonly number[], wanted: Wanted, epoch: (second: number) => number = () => 1, video: typeof VIDEO | typeof REORDERED = VIDEO): number[] => {
  const rhythm = new KeyframeRhythm();
  const tenths = Array.from({ length: 10 * seconds }, (_, i) => i);
  return tenths.filter((tenth) => {
    const frame = { stream: 'a', epoch: epoch(tenth / 10), rtpTs: 0, captureNtp: null, seq: tenth };
    return rhythm.suffices({ frame, pts: tenth * 9000, randomAccess: keyframes.includes(tenth / 10) }, video, wanted);
  }).map((tenth) => tenth / 10);
};
const from = (begin: number, end: number): number[] => Array.from({ length: Math.round((end - begin) * 10) }, (_, i) => Math.round(begin * 10 + i) / 10);

test('[EXT-1] for stills, and when nobody wants anything for a moment, key frames suffice', () => {
  expect(sufficed(3, [0, 2], STILLS)).toEqual(from(0, 3));
});

test('[EXT-1] with detectors or annotated video, and with pictures that are reordered, they never do', () => {
  expect(sufficed(5, [0, 2, 4], { motion: true, rates: [] })).toEqual([]);
  expect(sufficed(5, [0, 2, 4], STILLS, () => 1, REORDERED)).toEqual([]);
});

test('[EXT-1] for pictures that are wanted more rarely than key frames come they do, once it is known how often those come', () => {
  expect(sufficed(6, [0, 2, 4], { motion: false, rates: [0.5] })).toEqual(from(2, 6));
  expect(sufficed(6, [0, 2, 4], { motion: false, rates: [0.1, 0.5] })).toEqual(from(2, 6));
  expect(sufficed(6, [0, 2, 4], { motion: false, rates: [0.6] })).toEqual([]);
  expect(sufficed(6, [0, 2, 4], { motion: false, rates: [0.1, 15] })).toEqual([]);
});

test('[EXT-1] a key frame that is overdue is not waited for; what came before a new epoch says nothing of it', () => {
  expect(sufficed(10, [0, 2, 8], { motion: false, rates: [0.4] })).toEqual(from(2, 4.6));
  expect(sufficed(10, [0, 2, 5, 7], { motion: false, rates: [0.5] }, (second) => (second < 5 ? 1 : 2))).toEqual([...from(2, 4.1), ...from(7, 9.1)]);
});
