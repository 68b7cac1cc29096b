import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AccessUnit } from '../core/access-unit.ts';
import { h264Track } from '../core/codec/h264/track.ts';
import { opusTrack } from '../core/codec/opus/opus.ts';
import type { Tracks } from '../core/track.ts';
import { PartMuxer } from './part-muxer.ts';
import { PartTarget } from './part-target.ts';
import type { Part } from './port.ts';

const VIDEO = h264Track(Buffer.from('6764001facb200a00b7420000003002000000781e30649', 'hex'), Buffer.from('68ebccb22c', 'hex'));
const V: Tracks = { video: VIDEO, audio: null };
const AV: Tracks = { video: VIDEO, audio: opusTrack() };

const unit = (kind: 'video' | 'audio', ms: number, randomAccess: boolean, tracks: Tracks): AccessUnit => {
  const ticks = Math.round(ms * (kind === 'video' ? 90 : 48));
  return {
    kind, frame: { stream: 'c', epoch: 1, rtpTs: 0, captureNtp: null, seq: 0 }, pts: ticks, dts: ticks, wall: ms, arrivedAt: ms,
    randomAccess, data: Buffer.from([1]), byteLength: 1, tracks,
  };
};

/** Parts of a camera whose rate is `fps`, with a key frame every two seconds and every picture off by up to `jitterMs`. */
const record = (seconds: number, fps: (at: number) => number, jitterMs = 0): Part[] => {
  const muxer = new PartMuxer({ camera: 'c', sessionId: 's', sessionStart: 0, partMs: 200 });
  const parts: Part[] = [];
  let seed = 1;
  const random = (): number => (seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff) / 0x7fffffff;
  let nextKey = 0;
  for (let at = 0; at < seconds * 1_000; at += 1_000 / fps(at)) {
    parts.push(...muxer.push(unit('video', at + (at === 0 ? 0 : (random() - 0.5) * 2 * jitterMs), at >= nextKey, V)));
    if (at >= nextKey) nextKey += 2_000;
  }
  return parts;
};
const targets = (parts: readonly Part[]): number[] => [...new Set(parts.map((part) => part.targetMs))];
const over = (parts: readonly Part[]): number[] => parts.filter((part) => part.duration > part.targetMs).map((part) => part.duration);
/** Parts that RFC 8216bis §4.4.4.9 calls too short. */
const short = (parts: readonly Part[]): Part[] => parts.filter((part) => part.duration < 0.85 * part.targetMs && !part.randomAccess && !part.beforeRandomAccess);

describe('a part\'s target', () => {
  test.each([
    { fps: 60, target: 205 }, { fps: 30, target: 205 }, { fps: 25, target: 205 }, { fps: 24, target: 214 }, { fps: 20, target: 205 }, { fps: 15, target: 205 },
    { fps: 12.5, target: 245 }, { fps: 10, target: 205 }, { fps: 5, target: 216 }, { fps: 1, target: 1_080 },
  ])('of $fps steady pictures a second is $target ms, and every part keeps it', ({ fps, target }) => {
    const parts = record(60, () => fps);
    expect(targets(parts)).toEqual([target]);
    expect(over(parts)).toEqual([]);
    expect(short(parts)).toEqual([]);
  });

  test.each([30, 25, 20, 15, 12.5, 10, 8])('of %d jittering pictures a second leaves room on both sides: no part is longer, few are shorter than allowed', (fps) => {
    const parts = record(120, () => fps, 8);
    expect(targets(parts)[0]).toBeLessThan(300);
    expect(over(parts)).toEqual([]);
    expect(short(parts).length).toBeLessThan(parts.length * 0.5);
  });

  test('stays when the camera slows down for the moment', () => {
    const parts = record(40, (at) => (at > 10_000 && at < 18_000 ? 8 : 30));
    expect(targets(parts)).toEqual([205]);
    expect(over(parts)).toEqual([]);
  });

  test.each([
    { name: 'slower at night', before: 30, after: 8, expected: [205, 270] },
    { name: 'faster by day', before: 4, after: 30, expected: [270, 205] },
  ])('changes once when the camera becomes $name for good, with a key frame, and no part breaks the one or the other', ({ before, after, expected }) => {
    const parts = record(60, (at) => (at < 20_000 ? before : after));
    expect(targets(parts)).toEqual(expected);
    expect(over(parts)).toEqual([]);
    const first = parts.find((part) => part.targetMs === expected[1]);
    expect(first?.randomAccess).toBe(true);
    expect((first?.wall ?? 0) - 20_000).toBeLessThan(15_000);
    expect(short(parts.filter((part) => part.targetMs === expected[1]))).toEqual([]);
  });

  test('does not change where the new rate makes parts that fit it, too', () => {
    const parts = record(60, (at) => (at < 20_000 ? 8 : 30));
    expect(targets(parts)).toEqual([255]);
    expect(short(parts)).toEqual([]);
  });

  test('of a stream that falls to a picture a second becomes that long: only what came before the change is known is too long', () => {
    const parts = record(60, (at) => (at < 20_000 ? 30 : 1));
    expect(targets(parts)).toEqual([205, 1_080]);
    expect(over(parts).length).toBeLessThanOrEqual(12);
  });

  test('is not made longer by a pause at the start of a stream', () => {
    const target = new PartTarget(200);
    expect(target.begin([33.3, 33.3, 33.3, 33.3, 300])).toBe(216);
  });

  test('holds for sound that goes alone, too', () => {
    const muxer = new PartMuxer({ camera: 'c', sessionId: 's', sessionStart: 0, partMs: 200 });
    const parts: Part[] = [];
    for (let at = 0; at < 6_000; at += 20) {
      if (at % 40 === 0 && at < 2_000) parts.push(...muxer.push(unit('video', at, at === 0, AV)));
      parts.push(...muxer.push(unit('audio', at, true, AV)));
    }
    parts.push(...muxer.flush());
    expect(over(parts)).toEqual([]);
    const samples = parts.flatMap((part) => part.samples);
    expect(samples.filter((sample) => sample.kind === 'audio')).toHaveLength(300);
    expect(samples.filter((sample) => sample.kind === 'video')).toHaveLength(50);
  });

  test('is kept by every part of more than one picture, whatever the pictures do', () => {
    fc.assert(fc.property(fc.array(fc.record({ step: fc.integer({ min: 1, max: 700 }), key: fc.boolean() }), { minLength: 1, maxLength: 200 }), (steps) => {
      const muxer = new PartMuxer({ camera: 'c', sessionId: 's', sessionStart: 0, partMs: 200 });
      let at = 0;
      const parts = steps.flatMap(({ step, key }, i) => [...muxer.push(unit('video', (at += step), i === 0 || key, V))]);
      parts.push(...muxer.flush());
      expect(parts.flatMap((part) => part.samples)).toHaveLength(steps.length);
      expect(over(parts.filter((part) => part.samples.length > 1))).toEqual([]);
    }));
  });
});
