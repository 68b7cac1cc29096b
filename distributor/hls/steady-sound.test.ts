import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AccessUnit } from '../../core/access-unit.ts';
import { aacTrack } from '../../core/codec/aac/audio-specific-config.ts';
import { h264Track } from '../../core/codec/h264/track.ts';
import { opusTrack } from '../../core/codec/opus/opus.ts';
import { silentUnit } from '../../core/codec/silence.ts';
import { writeInitSegment } from '../../core/fmp4/init-segment.ts';
import { writePart } from '../../core/fmp4/part-writer.ts';
import type { AudioTrack, Tracks } from '../../core/track.ts';
import { PartMuxer } from '../../muxer/part-muxer.ts';
import type { Part } from '../../muxer/port.ts';
import { SteadySound } from './steady-sound.ts';

const START = 1_750_000_000_000;
const VIDEO = h264Track(Buffer.from('6764001facb200a00b7420000003002000000781e30649', 'hex'), Buffer.from('68ebccb22c', 'hex'));
/** AAC LC, 48 kHz, stereo. */
const AAC = aacTrack(Buffer.from('1190', 'hex'));
const AV: Tracks = { video: VIDEO, audio: opusTrack() };
const V: Tracks = { video: VIDEO, audio: null };

interface Said { readonly tracks?: Tracks; readonly epoch?: number; readonly randomAccess?: boolean }
const picture = (ms: number, { tracks = AV, epoch = START, randomAccess = ms % 1000 === 0 }: Said = {}): AccessUnit => ({
  kind: 'video', frame: { stream: 'cam', epoch, rtpTs: 0, captureNtp: null, seq: 0 }, pts: ms * 90, dts: ms * 90, wall: epoch + ms, arrivedAt: ms, randomAccess, data: Buffer.from('picture'), byteLength: 7, tracks,
});
/** 20 ms of it, of this time. */
const sound = (ms: number, { tracks = AV, epoch = START }: Said = {}): AccessUnit => ({
  kind: 'audio', frame: { stream: 'cam', epoch, rtpTs: 0, captureNtp: null, seq: 0 }, pts: ms * 48, dts: ms * 48, wall: epoch + ms, arrivedAt: ms, randomAccess: true, data: Buffer.from('sound'), byteLength: 5, tracks,
});

/** 25 pictures a second up to `toMs`, and sound where `heard` says so, each `lateMs` after its time. */
const stream = (toMs: number, heard: (ms: number) => boolean, lateMs = 0, said: Said = {}): AccessUnit[] => {
  const units: { readonly at: number; readonly unit: AccessUnit }[] = [];
  for (let ms = 0; ms < toMs; ms += 40) units.push({ at: ms, unit: picture(ms, said) });
  for (let ms = 0; ms < toMs; ms += 20) if (heard(ms)) units.push({ at: ms + lateMs, unit: sound(ms, said) });
  return units.sort((a, b) => a.at - b.at).filter(({ at }) => at < toMs).map(({ unit }) => unit);
};
const partsOf = (units: readonly AccessUnit[], sessionId = 's'): Part[] => {
  const muxer = new PartMuxer({ camera: 'cam', sessionId, sessionStart: START, partMs: 200 });
  return [...units.flatMap((unit) => [...muxer.push(unit)]), ...muxer.flush()];
};
const served = (parts: readonly Part[], watched = true): Part[] => {
  const steady = new SteadySound();
  return parts.flatMap((part) => steady.add(part, watched) ?? []);
};

interface Run { readonly track: number; readonly from: number; readonly to: number; readonly sizes: readonly number[] }
/** What the boxes of a part say of each track: times in ms. */
const runsOf = (part: Part): Run[] => {
  const bytes = Buffer.concat(part.chunks);
  expect(bytes.length).toBe(part.byteLength);
  const runs: Run[] = [];
  const walk = (from: number, to: number): void => {
    for (let at = from; at + 8 <= to; at += bytes.readUInt32BE(at)) {
      const type = bytes.toString('latin1', at + 4, at + 8);
      if (type === 'moof') walk(at + 8, at + bytes.readUInt32BE(at));
      if (type !== 'traf') continue;
      const tfhd = at + 8;
      const tfdt = tfhd + bytes.readUInt32BE(tfhd);
      const trun = tfdt + bytes.readUInt32BE(tfdt);
      const track = bytes.readUInt32BE(tfhd + 12);
      const [rate, step] = track === 1 ? [90, 16] : [48, 8];
      const begin = Number(bytes.readBigUInt64BE(tfdt + 12));
      const samples = Array.from({ length: bytes.readUInt32BE(trun + 12) }, (_, i) => trun + 20 + i * step);
      const length = samples.reduce((sum, each) => sum + bytes.readUInt32BE(each), 0);
      runs.push({ track, from: begin / rate, to: (begin + length) / rate, sizes: samples.map((each) => bytes.readUInt32BE(each + 4)) });
    }
  };
  walk(0, bytes.length);
  return runs;
};
const tracksOf = (parts: readonly Part[], track: number): Run[] => parts.flatMap((part) => runsOf(part).filter((run) => run.track === track));
/** Each begins where the one before ends. */
const expectUnbroken = (runs: readonly Run[]): void => {
  for (const [i, { from }] of runs.entries()) if (i > 0) expect(Math.abs(from - runs[i - 1]!.to), `run ${String(i)}`).toBeLessThan(0.5);
};
const heardIn = (runs: readonly Run[]): number => runs.flatMap(({ sizes }) => sizes).filter((size) => size === 'sound'.length).length;

describe('[DIS-2] sound that is steady', () => {
  test('is the recorder\'s own part, and so is that of a camera without any', () => {
    for (const parts of [partsOf(stream(3000, () => true)), partsOf(stream(3000, () => true, 600)), partsOf(stream(3000, () => false, 0, { tracks: V }))]) {
      const all = served(parts);
      expect(all.length).toBeGreaterThan(10);
      for (const [i, part] of all.entries()) expect(part).toBe(parts[i]);
    }
  });
});

describe('[DIS-2] sound that pauses', () => {
  test.each([['from the first picture on', (): boolean => false], ['in the middle', (ms: number): boolean => ms < 2000 || ms >= 5000], ['to the end', (ms: number): boolean => ms < 2000]])('%s is silence meanwhile, without a break, and where it is heard it is where it was', (_when, heard) => {
    const parts = partsOf(stream(8000, heard));
    const all = served(parts);
    expect(new Set(all.map(({ init }) => init))).toEqual(new Set(parts.map(({ init }) => init)));
    expect(tracksOf(all, 1)).toEqual(tracksOf(parts, 1));
    const runs = tracksOf(all, 2);
    expectUnbroken(runs);
    const pictures = tracksOf(all, 1);
    expect(Math.abs(runs[0]!.from - pictures[0]!.from)).toBeLessThan(0.5);
    expect(runs.at(-1)!.to).toBeGreaterThan(pictures.at(-1)!.to - 1);
    const [before, after] = [heardIn(tracksOf(parts, 2)), heardIn(runs)];
    expect(before - after).toBeLessThanOrEqual(10); // a part of its time was silence already when it came back
    expect(after === 0).toBe(before === 0);
  });

  test('only seems to, because it comes a second and a half after its pictures: it is heard for good before long', () => {
    const parts = partsOf(stream(20_000, () => true, 1500));
    const runs = tracksOf(served(parts), 2);
    expectUnbroken(runs);
    const late = runs.filter(({ from }) => from > 8000).flatMap(({ sizes }) => sizes);
    expect(late.every((size) => size === 'sound'.length)).toBe(true);
  });

  test.each([0, 300, 600, 1500])('again and again is heard again each time, be it %i ms later than its pictures', (lateMs) => {
    const pauses = [[4000, 5500], [14_000, 16_000], [26_000, 30_000], [40_000, 45_000]] as const;
    const parts = partsOf(stream(56_000, (ms) => !pauses.some(([from, to]) => ms >= from && ms < to), lateMs));
    const runs = tracksOf(served(parts), 2);
    for (const [at, [, to]] of pauses.entries()) {
      // By the end of a pause and of what comes too late behind it.
      const [from, until] = [to + 2000 + 2 * lateMs, pauses[at + 1]?.[0] ?? 56_000 - lateMs - 500];
      const between = runs.filter((run) => run.from >= from && run.to <= until).flatMap(({ sizes }) => sizes);
      expect(between.length, `after pause ${String(at)}`).toBeGreaterThan(0);
      expect(between.every((size) => size === 'sound'.length), `after pause ${String(at)}`).toBe(true);
    }
  });

  test('however long it is said to have been away, no more than ten seconds of silence are made of it at a time', () => {
    const far = 3_600_000;
    const parts = partsOf([picture(0), sound(0), sound(20), picture(40), sound(far), sound(far + 20), picture(80)]);
    const runs = tracksOf(served(parts), 2);
    expect(runs.flatMap(({ sizes }) => sizes).length).toBeLessThan(1000);
  });

  test('and of which no silence is known is left as it is', () => {
    const surround: AudioTrack = { ...AAC, channels: 6, config: Buffer.from('11b0', 'hex') };
    expect(silentUnit(surround)).toBeNull();
    const parts = partsOf([...stream(3000, (ms) => ms < 1000, 0, { tracks: { video: VIDEO, audio: surround } })]);
    for (const [i, part] of served(parts).entries()) expect(part).toBe(parts[i]);
  });

  test('however: pictures are as they were, sound has no break and never goes back', () => {
    const pauses = fc.array(fc.tuple(fc.integer({ min: 0, max: 8000 }), fc.integer({ min: 0, max: 4000 })), { maxLength: 5 });
    fc.assert(fc.property(pauses, fc.integer({ min: 0, max: 2500 }), (silent, late) => {
      const parts = partsOf(stream(9000, (ms) => !silent.some(([from, length]) => ms >= from && ms < from + length), late));
      const all = served(parts);
      expect(tracksOf(all, 1)).toEqual(tracksOf(parts, 1));
      const runs = tracksOf(all, 2);
      for (const [i, { from, to }] of runs.entries()) {
        expect(to).toBeGreaterThan(from);
        if (i === 0) continue;
        // A pause too short to be one stays as it was.
        expect(from - runs[i - 1]!.to).toBeGreaterThan(-0.5);
        expect(from - runs[i - 1]!.to).toBeLessThan(100);
      }
    }), { numRuns: 100 });
  });
});

describe('[DIS-2] a publisher that returns', () => {
  const LATER = START + 10_000;
  /** One publication after another in one session. */
  const session = (...publications: readonly (readonly AccessUnit[])[]): Part[] => partsOf(publications.flat());

  test('without its sound is silent, with the tracks it had', () => {
    const parts = session(stream(4000, () => true), stream(4000, () => false, 0, { tracks: V, epoch: LATER }));
    const all = served(parts);
    const back = all.filter(({ epoch }) => epoch === LATER);
    expect(back[0]).toMatchObject({ discontinuity: true });
    expect(new Set(back.map(({ init }) => init)).size).toBe(1);
    expect(back[0]?.init).toMatchObject({ codecs: parts[0]?.init.codecs, tracks: AV });
    expect(back[0]?.init.bytes.equals(writeInitSegment(AV))).toBe(true);
    for (const part of back) expect(runsOf(part).map(({ track }) => track)).toEqual([1, 2]);
    expectUnbroken(tracksOf(back, 2));
    expect(heardIn(tracksOf(back, 2))).toBe(0);
  });

  test('with sound it had not is without while somebody watches, and has it where nobody does, and in the next session', () => {
    const publications = [stream(4000, () => false, 0, { tracks: V }), stream(4000, () => true, 0, { epoch: LATER })];
    const parts = session(...publications);
    const watched = served(parts);
    expect(tracksOf(watched, 2)).toEqual([]);
    expect(tracksOf(watched, 1)).toEqual(tracksOf(parts, 1));
    expect(watched.find(({ epoch }) => epoch === LATER)).toMatchObject({ discontinuity: true, init: { codecs: VIDEO.codecString } });
    expect(served(parts, false)).toEqual(parts);
    const next = partsOf(publications[1]!, 'another');
    expect(served([...parts, ...next]).slice(-next.length)).toEqual(next);
  });

  test('with another codec of the sound has that', () => {
    const parts = session(stream(4000, () => true), stream(4000, () => true, 0, { tracks: { video: VIDEO, audio: AAC }, epoch: LATER }));
    expect(served(parts)).toEqual(parts);
  });
});

test.each([['Opus', opusTrack()], ['AAC, stereo', AAC], ['AAC, mono, 16 kHz', aacTrack(Buffer.from('1408', 'hex'))]] as const)('silence in %s is silence to ffmpeg, and as long as it says', (_name, track) => {
  const unit = silentUnit(track) ?? expect.fail('none');
  const samples = Array.from({ length: 50 }, () => ({ data: unit.data, duration: unit.duration, compositionOffset: 0, randomAccess: true }));
  const file = Buffer.concat([writeInitSegment({ video: null, audio: track }), ...writePart({ sequence: 1, reference: { trackId: 2, wall: START, mediaTime: 0 }, tracks: [{ trackId: 2, baseDecodeTime: 0, samples }] })]);
  const pcm = execFileSync('ffmpeg', ['-v', 'error', '-xerror', '-i', '-', '-f', 's16le', '-'], { input: file, maxBuffer: 16 << 20 });
  expect(pcm.every((byte) => byte === 0)).toBe(true);
  const decoded = pcm.length / 2 / track.channels;
  expect(Math.abs(decoded - 50 * unit.duration)).toBeLessThanOrEqual(2 * unit.duration);
});
