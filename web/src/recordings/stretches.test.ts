import { expect, test } from 'vitest';
import { recordedFrom, recordedSeconds, recordedUntil, stretchesOf, withoutLead } from './stretches.ts';

const recording = (start: number, end: number) => ({ camera: 'c', start: new Date(start).toISOString(), end: new Date(end).toISOString(), duration: (end - start) / 1000, bytes: 1, open: false });
/** 10 to 20 s and 40 to 100 s; the API answers the newest first. */
const two = stretchesOf([recording(40_000, 100_000), recording(10_000, 20_000)]);

test('[REC-4] where nothing was recorded, playing begins with what was recorded next, and at the end shortly before it', () => {
  expect([0, 12_000, 19_900, 30_000, 50_000].map((at) => recordedFrom(two, at))).toEqual([10_000, 12_000, 40_000, 40_000, 50_000]);
  expect(recordedFrom(two, 200_000)).toBe(90_000);
  expect(recordedFrom([], 5)).toBeNull();
});

test('[REC-4] backwards it goes on with what was recorded before', () => {
  expect([50_000, 40_000, 30_000, 15_000].map((at) => recordedUntil(two, at))).toEqual([50_000, 20_000, 20_000, 15_000]);
  expect(recordedUntil(two, 10_000)).toBeNull();
});

test('[REC-5] a range that begins before anything was recorded is played from its first picture on', () => {
  const from = (range: { readonly from: number; readonly to: number }): number => withoutLead(two, range).from;
  expect([{ from: 5_000, to: 15_000 }, { from: 25_000, to: 60_000 }].map(from)).toEqual([10_000, 40_000]);
  expect([{ from: 12_000, to: 60_000 }, { from: 0, to: 9_000 }, { from: 25_000, to: 30_000 }, { from: 200_000, to: 300_000 }].map(from)).toEqual([12_000, 0, 25_000, 200_000]);
});

test('only what is in the window is counted as recorded', () => {
  expect(recordedSeconds(two, { start: 15_000, end: 45_000 })).toBe(10);
  expect(recordedSeconds(two, { start: 0, end: 200_000 })).toBe(70);
});
