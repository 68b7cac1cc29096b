import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { AccessUnit } from '../core/access-unit.ts';
import { h264Track } from '../core/codec/h264/track.ts';
import { opusTrack } from '../core/codec/opus/opus.ts';
import type { Tracks } from '../core/track.ts';
import { PartMuxer } from './part-muxer.ts';
import type { PartMuxerOptions } from './part-muxer.ts';
import type { Part } from './port.ts';

const START = 1_750_000_000_000;
const VIDEO = h264Track(Buffer.from('6764001facb200a00b7420000003002000000781e30649', 'hex'), Buffer.from('68ebccb22c', 'hex'));
const AV: Tracks = { video: VIDEO, audio: opusTrack() };
const V: Tracks = { video: VIDEO, audio: null };
const A: Tracks = { video: null, audio: opusTrack() };

const unit = (kind: 'video' | 'audio', ms: number, over: Partial<AccessUnit> & { epoch?: number; ptsMs?: number } = {}): AccessUnit => {
  const rate = kind === 'video' ? 90 : 48;
  const { epoch = START, ptsMs = ms, ...rest } = over;
  return {
    kind,
    frame: { stream: 'cam', epoch, rtpTs: 0, captureNtp: null, seq: 0 },
    pts: Math.round(ptsMs * rate), dts: Math.round(ms * rate),
    wall: epoch + ptsMs, arrivedAt: ms,
    randomAccess: kind === 'audio',
    data: Buffer.from([1, 2, 3, 4]), byteLength: 4,
    tracks: V,
    ...rest,
  };
};
const idr = (ms: number, over: Parameters<typeof unit>[2] = {}): AccessUnit => unit('video', ms, { randomAccess: true, ...over });

const muxer = (over: Partial<PartMuxerOptions> = {}): PartMuxer => new PartMuxer({ camera: 'cam', sessionId: 's', sessionStart: START, partMs: 200, ...over });
const run = (m: PartMuxer, units: readonly AccessUnit[]): Part[] => [...units.flatMap((u) => [...m.push(u)]), ...m.flush()];
const shape = (parts: readonly Part[]) => parts.map((part) => `${part.randomAccess ? 'R' : '-'}${part.samples.map((s) => (s.kind === 'video' ? 'v' : 'a')).join('')}`);
const video25 = (count: number, over: Parameters<typeof unit>[2] = {}): AccessUnit[] => Array.from({ length: count }, (_, i) => unit('video', i * 40, { randomAccess: i % 25 === 0, ...over }));

test('a part closes when its pictures last part_ms, and lasts exactly as long as they do', () => {
  const parts = run(muxer(), video25(12));
  expect(shape(parts)).toEqual(['Rvvvvv', '-vvvvv', '-vv']);
  expect(parts.map((part) => part.duration)).toEqual([200, 200, 80]);
  expect(parts.map((part) => part.sequence)).toEqual([1, 2, 3]);
});

test('a part comes out as soon as the picture after it arrives', () => {
  const m = muxer();
  const counts = video25(7).map((u) => m.push(u).length);
  expect(counts).toEqual([0, 0, 0, 0, 0, 1, 0]);
});

test('timestamps that jitter by a few milliseconds do not make parts a picture longer', () => {
  const parts = run(muxer(), [idr(0), ...[41, 79, 121, 158, 198, 240].map((ms) => unit('video', ms))]);
  expect(shape(parts)).toEqual(['Rvvvvv', '-vv']);
});

test('a random access picture begins a new part, and the part before says so', () => {
  const parts = run(muxer(), [idr(0), unit('video', 40), idr(80), unit('video', 120)]);
  expect(shape(parts)).toEqual(['Rvv', 'Rvv']);
  expect(parts.map((part) => part.beforeRandomAccess)).toEqual([true, false]);
});

test('decode times count from one second before the session, so reordering keeps them positive', () => {
  const [part] = run(muxer(), [idr(-80, { ptsMs: 0 }), unit('video', -40, { ptsMs: 120 }), unit('video', 0, { ptsMs: 40 })]);
  expect(part?.samples.map((s) => [s.dts, s.pts])).toEqual([[920 * 90, 1_000 * 90], [960 * 90, 1_120 * 90], [1_000 * 90, 1_040 * 90]]);
});

test('sound goes into the part in whose time it falls', () => {
  const units = [...video25(11, { tracks: AV }), ...Array.from({ length: 21 }, (_, i) => unit('audio', i * 20, { tracks: AV }))].sort((a, b) => a.arrivedAt - b.arrivedAt);
  const parts = run(muxer(), units);
  for (const part of parts.slice(0, 2)) {
    const times = part.samples.map((s) => s.dts / (s.kind === 'video' ? 90 : 48));
    expect(Math.max(...times)).toBeLessThan(1_000 + 200 * part.sequence);
    expect(Math.min(...times)).toBeGreaterThanOrEqual(1_000 + 200 * (part.sequence - 1) - 20); // one frame is held back until its length is known
  }
  expect(parts.flatMap((p) => p.samples).filter((s) => s.kind === 'audio')).toHaveLength(21);
});

test('sound goes on alone when no picture comes for a second, and lengths still add up', () => {
  const parts = run(muxer(), [idr(0, { tracks: AV }), ...Array.from({ length: 100 }, (_, i) => unit('audio', i * 20, { tracks: AV })), unit('video', 1_990, { tracks: AV })]);
  expect(parts.length).toBeGreaterThan(2);
  const sum = parts.reduce((total, part) => total + part.duration, 0);
  expect(sum).toBeGreaterThan(1_900);
  expect(sum).toBeLessThan(4_000);
  expect(parts.flatMap((p) => p.samples)).toHaveLength(102);
});

test('sound before the first picture is kept for a second and then dropped, counted', () => {
  const dropped: string[] = [];
  const units = [...Array.from({ length: 75 }, (_, i) => unit('audio', i * 20, { tracks: AV })), idr(1_500, { tracks: AV }), unit('video', 1_540, { tracks: AV })];
  const parts = run(muxer({ onDrop: (reason) => dropped.push(reason) }), units);
  expect(dropped).toEqual(Array.from({ length: 24 }, () => 'awaiting_random_access'));
  expect(parts.flatMap((p) => p.samples).filter((s) => s.kind === 'audio')).toHaveLength(51);
});

test('sound alone is cut by itself', () => {
  const parts = run(muxer(), Array.from({ length: 25 }, (_, i) => unit('audio', i * 20, { tracks: A })));
  expect(parts.map((p) => p.duration)).toEqual([200, 200, 100]);
  expect(parts.every((p) => p.randomAccess)).toBe(true);
});

test('[ING-9] a publisher who returns continues the timeline by the wall clock, as a discontinuity', () => {
  const later = START + 5_000;
  const parts = run(muxer(), [idr(0), unit('video', 40), idr(0, { epoch: later }), unit('video', 40, { epoch: later })]);
  expect(parts.map((p) => p.discontinuity)).toEqual([true, true]);
  expect(parts.map((p) => p.epoch)).toEqual([START, later]);
  expect(parts.map((p) => p.samples[0]?.dts)).toEqual([90_000, 6_000 * 90]);
  expect(parts.map((p) => p.duration)).toEqual([80, 80]);
});

test('an epoch that would overlap the one before is shifted as a whole', () => {
  const soon = START + 50;
  const parts = run(muxer(), [
    idr(0, { tracks: AV }), unit('audio', 0, { tracks: AV }), unit('video', 40, { tracks: AV }), unit('audio', 20, { tracks: AV }),
    idr(0, { tracks: AV, epoch: soon }), unit('audio', 10, { tracks: AV, epoch: soon }), unit('video', 40, { tracks: AV, epoch: soon }),
  ]);
  const [first, second] = [parts.find((p) => p.epoch === START), parts.find((p) => p.epoch === soon)];
  const end = Math.max(...(first?.samples ?? []).map((s) => (s.dts + s.duration) / (s.kind === 'video' ? 90 : 48)));
  const starts = (second?.samples ?? []).map((s) => s.dts / (s.kind === 'video' ? 90 : 48));
  expect(Math.min(...starts)).toBeGreaterThanOrEqual(end);
  const at = (kind: string) => second?.samples.find((s) => s.kind === kind)?.dts ?? 0;
  expect(at('audio') / 48 - at('video') / 90).toBeCloseTo(10);
});

test('new tracks begin a new init segment and a discontinuity; the last picture before keeps its true length', () => {
  const other: Tracks = { video: VIDEO, audio: null };
  const parts = run(muxer(), [idr(0), unit('video', 40), idr(110, { tracks: other }), unit('video', 150, { tracks: other })]);
  expect(parts.map((p) => [p.discontinuity, p.duration, p.init.tracks === V])).toEqual([[true, 110, true], [true, 80, false]]);
});

test('sound that joins in the middle of a GOP costs no picture', () => {
  const parts = run(muxer(), [idr(0), unit('video', 40), unit('audio', 60, { tracks: AV }), unit('video', 80, { tracks: AV }), unit('video', 120, { tracks: AV })]);
  expect(parts.flatMap((p) => p.samples).filter((s) => s.kind === 'video')).toHaveLength(4);
});

test('pictures before the first random access point are dropped and counted', () => {
  const dropped: string[] = [];
  const parts = run(muxer({ onDrop: (reason) => dropped.push(reason) }), [unit('video', 0), idr(40)]);
  expect(dropped).toEqual(['awaiting_random_access']);
  expect(shape(parts)).toEqual(['Rv']);
});

test('a stretch without pictures is not filled: the next part begins where they go on', () => {
  const parts = run(muxer(), [idr(0), unit('video', 40), unit('video', 5_000), unit('video', 5_040)]);
  expect(parts.map((p) => [p.samples[0]?.dts, p.duration])).toEqual([[90_000, 80], [6_000 * 90, 80]]);
});

test('pictures at a changing rate keep their own times', () => {
  const times = [0, 33, 66, 166, 500, 1_500, 1_533];
  const parts = run(muxer(), times.map((ms, i) => unit('video', ms, { randomAccess: i === 0 })));
  expect(parts.flatMap((p) => p.samples).map((s) => s.dts / 90 - 1_000)).toEqual(times);
  expect(parts.flatMap((p) => p.samples).map((s) => s.duration / 90)).toEqual([33, 33, 100, 334, 1_000, 33, 33]);
});

test('VP8 makes no parts, and it is said once why', () => {
  const vp8: Tracks = { video: { kind: 'video', codec: 'vp8', clockRate: 90_000, width: 2, height: 2, codecString: 'vp8', reorderDepth: 0 }, audio: null };
  const why: string[] = [];
  expect(run(muxer({ onUnmuxable: (_, text) => why.push(text) }), [idr(0, { tracks: vp8 }), unit('video', 40, { tracks: vp8 })])).toEqual([]);
  expect(why).toEqual(['an MP4 cannot carry vp8']);
});

test('the bytes of access units are handed on, not copied', () => {
  const data = Buffer.from('picture');
  const [part] = run(muxer(), [idr(0, { data, byteLength: data.length })]);
  expect(part?.chunks[2]).toBe(data);
  expect(part?.byteLength).toBe(part?.chunks.reduce((sum, chunk) => sum + chunk.length, 0));
});

test('a part never grows without bound, even if timestamps stand still', () => {
  const parts = run(muxer(), Array.from({ length: 1_200 }, (_, i) => unit('video', 0, { randomAccess: i === 0 })));
  expect(Math.max(...parts.map((p) => p.samples.length))).toBeLessThanOrEqual(500);
});

test('whatever arrives, every track is contiguous within a part and strictly increasing from part to part', () => {
  const event = fc.record({
    kind: fc.constantFrom('video' as const, 'audio' as const),
    step: fc.integer({ min: -200, max: 3_000 }),
    key: fc.boolean(),
    turn: fc.integer({ min: 0, max: 19 }),
  });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 120 }), (events) => {
      let now = 0;
      let epoch = START;
      let tracks = AV;
      const units = events.map(({ kind, step, key, turn }) => {
        now = Math.max(0, now + step);
        if (turn === 0) epoch += 1 + now;
        if (turn === 1) tracks = { ...AV };
        return unit(kind, now, { epoch, tracks, randomAccess: kind === 'audio' || key });
      });
      const last = { video: -1, audio: -1 };
      for (const part of run(muxer(), units)) {
        expect(part.duration).toBeGreaterThan(0);
        for (const kind of ['video', 'audio'] as const) {
          let next: number | null = null;
          for (const sample of part.samples.filter((s) => s.kind === kind)) {
            if (next !== null) expect(sample.dts).toBe(next);
            expect(sample.dts).toBeGreaterThan(last[kind]);
            expect(sample.duration).toBeGreaterThan(0);
            last[kind] = sample.dts;
            next = sample.dts + sample.duration;
          }
        }
      }
    }),
  );
});
