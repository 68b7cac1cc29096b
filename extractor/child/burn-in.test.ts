/** Decoded pictures in, H.264 with boxes burned in out; what comes is decoded again by the real decoder. */
import { join } from 'node:path';
import { AV_LOG_QUIET, AV_PIX_FMT_YUV420P } from 'node-av/constants';
import { Frame, Log } from 'node-av/lib';
import { beforeAll, expect, test } from 'vitest';
import { NalType, avccNals, isBSlice, nalType } from '../../core/codec/h264/nal.ts';
import { h264Track } from '../../core/codec/h264/track.ts';
import { toYuv } from '../../core/drawing/box-colour.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import { silentLogger } from '../../platform/logging.ts';
import { readClip } from '../../test/integration/clip.ts';
import type { Clip } from '../../test/integration/clip.ts';
import { readFrameStrip } from '../../test/support/frame-strip.ts';
import { until } from '../../test/support/server.ts';
import type { BurnInStatsMessage, SentUnit } from '../protocol.ts';
import { BurnIn } from './burn-in.ts';
import type { EncoderSource } from './burn-in.ts';
import type { PictureMeta } from './camera-pictures.ts';
import { Decoder } from './decoder.ts';
import { H264Encoder } from './h264-encoder.ts';

let clip: Clip;
beforeAll(async () => {
  Log.setLevel(AV_LOG_QUIET); // as the extractor does
  clip = await readClip(join(import.meta.dirname, '..', '..', 'test/fixtures/media/counter-720p30.mp4'));
});

interface Device {
  name: string | null;
  readonly make: (first: Frame) => ReturnType<EncoderSource['encoder']>;
}

const setUp = (device: Device = { name: null, make: (first) => new H264Encoder(first) }) => {
  const clock = new FakeClock();
  const doubted: string[] = [];
  /** What encoders were made on. */
  const made: (string | null)[] = [];
  const encoders: EncoderSource = {
    encodingDevice: () => device.name,
    encoder: (first, name, maxHeight) => {
      const encoder = name === null ? new H264Encoder(first, null, maxHeight) : device.make(first);
      made.push(name);
      return encoder;
    },
    doubt: (name) => { doubted.push(name); },
    stuck: () => undefined,
  };
  const sent: SentUnit[] = [];
  const changes: number[] = [];
  const pipe = { full: false };
  const burnIn = new BurnIn({
    handle: 7, camera: 'a', encoders, clock, guarded: (work) => { work(); }, logger: silentLogger(), hasRoom: () => !pipe.full, send: (unit) => { sent.push({ ...unit, data: Buffer.from(unit.data) }); },
    onEncoderChange: () => { changes.push(take()?.encoders ?? -1); },
  });
  const told = { encoded: 0, dropped: {} as Record<string, number> };
  const take = (): BurnInStatsMessage | null => {
    const stats = burnIn.takeStats();
    told.encoded += stats?.encoded ?? 0;
    for (const [reason, count] of Object.entries(stats?.dropped ?? {})) told.dropped[reason] = (told.dropped[reason] ?? 0) + count;
    return stats;
  };
  /** All that was told until now. */
  const totals = (): typeof told => {
    take();
    return told;
  };
  return { burnIn, sent, changes, pipe, totals, clock, doubted, made };
};

const metaOf = (index: number, more: Partial<PictureMeta> = {}): PictureMeta => ({
  index, frame: { stream: 'a', epoch: 1, rtpTs: index * 3000, captureNtp: null, seq: index }, wall: index, pts: (index * 1000) / 30, late: false, detected: null, ...more,
});
/** A box that moves by 20 pixels from picture to picture. */
const boxAt = (index: number): NonNullable<PictureMeta['boxes']> =>
  ({ boxes: [{ className: 'cup', classId: 1, confidence: 0.9, trackId: null, x: 100 + 20 * index, y: 300, width: 200, height: 200 }], drawn: { how: 'exact', ageMs: 0 } });

/** Decodes pictures `[0, count)` of the clip for `take`. */
const play = (count: number, take: (frame: Frame, index: number) => void): void => {
  using decoder = new Decoder({ codec: 'h264', sps: Buffer.from(clip.tracks.video.sps).toString('base64'), pps: Buffer.from(clip.tracks.video.pps).toString('base64') });
  for (const [i, unit] of clip.units.slice(0, count).entries()) decoder.decode(Buffer.from(unit.data), i, unit.randomAccess, take);
};
/** Each picture when the one before is encoded, so that none is left out. */
const burnEach = async ({ burnIn, sent }: ReturnType<typeof setUp>, count: number, meta: (index: number) => PictureMeta): Promise<void> => {
  const frames: Frame[] = [];
  play(count, (frame) => {
    const held = new Frame();
    held.alloc();
    held.ref(frame);
    frames.push(held);
  });
  for (const [i, frame] of frames.entries()) {
    const before = sent.length;
    burnIn.take(frame, meta(i));
    frame.free();
    await until(`picture ${String(i)}`, () => sent.length > before);
    await new Promise(setImmediate);
  }
};

interface Seen { readonly index: number; readonly number: number | null; readonly at: (x: number, y: number) => readonly number[] }
const setsOf = (unit: SentUnit): [Buffer, Buffer] => {
  const nals = avccNals(unit.data);
  return [nals.find((nal) => nalType(nal) === NalType.sps)!, nals.find((nal) => nalType(nal) === NalType.pps)!];
};
/** What a viewer sees. */
const watch = (units: readonly SentUnit[]): Seen[] => {
  const [sps, pps] = setsOf(units[0]!);
  const seen: Seen[] = [];
  using decoder = new Decoder({ codec: 'h264', sps: sps.toString('base64'), pps: pps.toString('base64') });
  for (const unit of units) {
    decoder.decode(Buffer.from(unit.data), unit.frame.seq, unit.randomAccess, (frame, index) => {
      const planes = (frame.data ?? []).map((plane) => Buffer.from(plane));
      const strides = [...frame.linesize];
      seen.push({
        index, number: readFrameStrip(planes[0] ?? [], frame.width, (frame.height * 40) / 720, 1, strides[0]),
        at: (x, y) => [planes[0]?.[y * (strides[0] ?? 0) + x] ?? -1, planes[1]?.[(y >> 1) * (strides[1] ?? 0) + (x >> 1)] ?? -1, planes[2]?.[(y >> 1) * (strides[2] ?? 0) + (x >> 1)] ?? -1],
      });
    });
  }
  return seen;
};
const BLUE = toYuv(0x38bdf8, { bt709: false, full: false });
const isBlue = ([y = 0, u = 0, v = 0]: readonly number[]): boolean => Math.max(Math.abs(y - BLUE.y), Math.abs(u - BLUE.u), Math.abs(v - BLUE.v)) < 30;

test('[DIS-4] every picture has its own box in its pixels, its FrameRef and its time; no B-frames, and parameter sets where a viewer begins', async () => {
  const all = setUp();
  using burnIn = all.burnIn;
  burnIn.set(true);
  await burnEach(all, 12, (index) => metaOf(index, { boxes: boxAt(index) }));
  const { sent, changes } = all;
  expect(sent.map(({ frame, pts, wall, randomAccess }) => [frame.seq, frame.rtpTs, pts, wall, randomAccess])).toEqual(sent.map((_, i) => [i, i * 3000, i * 3000, i, i === 0]));
  expect(h264Track(...setsOf(sent[0]!))).toMatchObject({ width: 1280, height: 720, reorderDepth: 0, codecString: expect.stringMatching(/^avc1\.42[c-f]0/) as string });
  expect(sent.flatMap(({ data }) => avccNals(data)).some(isBSlice)).toBe(false);
  const seen = watch(sent);
  expect(seen.map(({ index, number }) => [index, number])).toEqual(sent.map((_, i) => [i, i]));
  for (const { index, at } of seen) {
    expect(isBlue(at(100 + 20 * index, 400)), `picture ${String(index)}`).toBe(true);
    expect(isBlue(at(100 + 20 * index + 20, 400)), `beside it in picture ${String(index)}`).toBe(false);
  }
  expect(changes).toEqual([1]);
  expect(all.totals()).toEqual({ encoded: 12, dropped: {} });
});

test('[DIS-4] the decoded picture itself, which others see, is left as it is', async () => {
  const all = setUp();
  using burnIn = all.burnIn;
  burnIn.set(true);
  const changed: boolean[] = [];
  play(1, (frame) => {
    const before = frame.toBuffer();
    burnIn.take(frame, metaOf(0, { boxes: boxAt(0) }));
    changed.push(!frame.toBuffer().equals(before));
  });
  expect(changed).toEqual([false]);
  await until('it is encoded', () => all.sent.length === 1);
});

test('[DIS-4] [EXT-6] an encoder that is busy takes the newest picture next; those in between are counted, and nothing that follows refers to them', async () => {
  const all = setUp();
  using burnIn = all.burnIn;
  burnIn.set(true);
  play(20, (frame, index) => { burnIn.take(frame, metaOf(index)); }); // in one turn: the first one's encoding cannot have ended
  await until('two are encoded', () => all.sent.length === 2);
  expect(all.sent.map(({ frame, pts }) => [frame.seq, pts])).toEqual([[0, 0], [19, 57_000]]);
  expect(watch(all.sent).map(({ number }) => number)).toEqual([0, 19]);
  expect(all.totals().dropped).toEqual({ encoder_busy: 18 });
});

test('[DIS-4] a full pipe, a late picture and a repeated time cost that picture, counted, before it is encoded', async () => {
  const all = setUp();
  using burnIn = all.burnIn;
  burnIn.set(true);
  all.pipe.full = true;
  play(1, (frame) => { burnIn.take(frame, metaOf(0)); });
  all.pipe.full = false;
  play(3, (frame, index) => { if (index > 0) burnIn.take(frame, metaOf(index, { late: index === 1 })); });
  await until('one is encoded', () => all.sent.length === 1);
  play(1, (frame) => { burnIn.take(frame, metaOf(2)); });
  expect(all.sent.map(({ frame, randomAccess }) => [frame.seq, randomAccess])).toEqual([[2, true]]);
  expect(all.totals().dropped).toEqual({ pipe_full: 1, late: 1, repeated: 1 });
});

test('[DIS-4] who asks gets a random access picture next, and so does who comes at a new epoch, whose times begin anew', async () => {
  const all = setUp();
  using burnIn = all.burnIn;
  burnIn.set(true);
  await burnEach(all, 3, (index) => metaOf(index));
  burnIn.requestKeyframe();
  await burnEach(all, 1, () => metaOf(3));
  burnIn.forget(2);
  await burnEach(all, 2, (index) => metaOf(index, { frame: { stream: 'a', epoch: 2, rtpTs: index, captureNtp: null, seq: 10 + index } }));
  expect(all.sent.map(({ frame, pts, randomAccess }) => [frame.epoch, frame.seq, pts, randomAccess])).toEqual([[1, 0, 0, true], [1, 1, 3000, false], [1, 2, 6000, false], [1, 3, 9000, true], [2, 10, 0, true], [2, 11, 3000, false]]);
  expect(all.totals().dropped).toEqual({ interrupted: 2 });
  expect(watch(all.sent)).toHaveLength(6);
});

test('[DIS-4] not wanted, nothing is encoded and there is no encoder; wanted again, it begins with a random access picture', async () => {
  const all = setUp();
  using burnIn = all.burnIn;
  play(2, (frame, index) => { burnIn.take(frame, metaOf(index)); });
  expect([all.changes, burnIn.takeStats()]).toEqual([[], null]);
  burnIn.set(true);
  await burnEach(all, 2, (index) => metaOf(10 + index));
  burnIn.set(false);
  play(2, (frame, index) => { burnIn.take(frame, metaOf(20 + index)); });
  burnIn.set(true);
  await burnEach(all, 1, () => metaOf(30));
  expect(all.changes).toEqual([1, 0, 1]);
  expect(all.sent.map(({ frame, randomAccess }) => [frame.seq, randomAccess])).toEqual([[10, true], [11, false], [30, true]]);
});

/** A picture of one grey and any size. */
const grey = (width: number, height: number): Frame => {
  const frame = new Frame();
  frame.alloc();
  frame.width = width;
  frame.height = height;
  frame.format = AV_PIX_FMT_YUV420P;
  frame.getBuffer(0);
  for (const [plane, data] of (frame.data ?? []).entries()) data.fill(plane === 0 ? 126 : 128);
  return frame;
};

test('[DIS-4] [EXT-7] a camera that changes its size, to odd ones too, costs no encoder more and no picture', async () => {
  const all = setUp();
  using burnIn = all.burnIn;
  burnIn.set(true);
  for (const [i, [width, height]] of ([[640, 360], [641, 361], [16, 16], [1281, 31], [640, 360]] as const).entries()) {
    using frame = grey(width, height);
    burnIn.take(frame, metaOf(i, { boxes: boxAt(0) }));
    await until('it is encoded', () => all.sent.length === i + 1);
    await new Promise(setImmediate);
    const { randomAccess } = all.sent[i]!;
    expect(randomAccess).toBe(true);
    expect(h264Track(...setsOf(all.sent[i]!))).toMatchObject({ width: width - (width % 2), height: height - (height % 2) });
  }
  expect([all.changes, all.totals().dropped]).toEqual([[1], {}]);
});

test('[EXT-2] [DIS-4] made smaller, and larger again, it goes on with a random access picture of that size; no picture is lost, and each box lies on its own pixels', async () => {
  const all = setUp();
  using burnIn = all.burnIn;
  for (const [round, [most, height]] of ([[null, 720], [360, 360], [361, 360], [1080, 720], [720, 720], [405, 404]] as const).entries()) {
    burnIn.set(true, most);
    const from = all.sent.length;
    await burnEach(all, 4, (index) => metaOf(index, { boxes: boxAt(index), frame: { stream: 'a', epoch: round, rtpTs: index * 3000, captureNtp: null, seq: index } }));
    const sent = all.sent.slice(from);
    expect(sent.map(({ randomAccess }) => randomAccess)).toEqual([true, false, false, false]);
    const track = h264Track(...setsOf(sent[0]!));
    expect(track.height).toBe(height);
    const seen = watch(sent);
    expect(seen.map(({ number }) => number)).toEqual([0, 1, 2, 3]);
    const scale = track.width / 1280;
    for (const { index, at } of seen) {
      /** An edge of the box is there, within a pixel. */
      const edgeAt = (x: number): boolean => [-1, 0, 1].some((by) => isBlue(at(Math.round(x * scale) + by, Math.round(400 * scale))));
      expect([100, 120, 80].map((x) => edgeAt(x + 20 * index)), `${String(height)} lines, picture ${String(index)}`).toEqual([true, false, false]);
    }
  }
  expect([all.changes, all.made.length, all.totals().dropped]).toEqual([[1], 5, {}]); // what comes out the same needs no other encoder
});

test('[DIS-4] a picture that cannot be encoded is counted, and the next one begins anew', async () => {
  const all = setUp();
  using burnIn = all.burnIn;
  burnIn.set(true);
  using frame = grey(16_500, 16); // more than libx264 takes
  burnIn.take(frame, metaOf(0));
  await until('it is counted', () => (all.totals().dropped['failed'] ?? 0) > 0);
  await burnEach(all, 2, (index) => metaOf(1 + index));
  expect(all.sent.map(({ frame: { seq }, randomAccess }) => [seq, randomAccess])).toEqual([[1, true], [2, false]]);
});

test('[DIS-4] disposed of while it encodes, it sends nothing more', async () => {
  const all = setUp();
  all.burnIn.set(true);
  play(3, (frame, index) => { all.burnIn.take(frame, metaOf(index)); });
  all.burnIn[Symbol.dispose]();
  const other = setUp();
  using burnIn = other.burnIn;
  burnIn.set(true);
  await burnEach(other, 2, (index) => metaOf(index)); // so long the first one took, too
  expect(all.sent).toEqual([]);
});

/** Real software under another name, that fails or keeps its picture from the `lasts`th on. */
const lossy = (lasts: number, how: 'fails' | 'hangs'): Device['make'] => (first) => {
  const encoder = new H264Encoder(first);
  let left = lasts;
  return {
    takes: (picture) => encoder.takes(picture),
    encode: (picture, boxes, pts, randomAccess) => {
      if (left-- > 0) return encoder.encode(picture, boxes, pts, randomAccess);
      return how === 'fails' ? Promise.reject(new Error('device lost')) : new Promise(() => undefined);
    },
    [Symbol.dispose]: () => { encoder[Symbol.dispose](); },
  };
};

/** Gives the clip's pictures, one a second, each when the one before is sent; those in `unsent` are waited for until one is counted as left out, or not at all. */
const burnSlowly = async ({ burnIn, sent, totals, clock }: ReturnType<typeof setUp>, count: number, epoch = 1, unsent: Readonly<Record<number, 'dropped' | 'stuck'>> = {}): Promise<void> => {
  const frames: Frame[] = [];
  play(count, (frame) => { frames.push(frame.clone()!); });
  const dropped = (): number => Object.values(totals().dropped).reduce((sum, count) => sum + count, 0);
  for (const [i, frame] of frames.entries()) {
    const [sentBefore, droppedBefore] = [sent.length, dropped()];
    burnIn.take(frame, metaOf(i, { frame: { stream: 'a', epoch, rtpTs: i * 3000, captureNtp: null, seq: i } }));
    frame.free();
    if (unsent[i] !== 'stuck') await until(`picture ${String(i)}`, () => (unsent[i] ? dropped() > droppedBefore : sent.length > sentBefore));
    await new Promise(setImmediate);
    clock.advance(1_000);
  }
};

test('[DIS-4] [EXT-8] a device that fails costs one picture; software goes on with a random access picture, and the device is tried again for the next encoder after a minute', async () => {
  const device: Device = { name: 'cuda', make: lossy(4, 'fails') };
  const all = setUp(device);
  const { burnIn, sent, made, doubted, clock } = all;
  using _burnIn = burnIn;
  burnIn.set(true);
  await burnSlowly(all, 9, 1, { 4: 'dropped' });
  expect([made, doubted, burnIn.takeFailed(), burnIn.takeFailed()]).toEqual([['cuda', null], ['cuda'], ['cuda'], []]);
  expect(all.totals()).toEqual({ encoded: 8, dropped: { failed: 1 } });
  expect(sent.map(({ frame, randomAccess }) => [frame.seq, randomAccess])).toEqual([0, 1, 2, 3, 5, 6, 7, 8].map((seq) => [seq, seq === 0 || seq === 5]));
  expect(watch(sent).map(({ number }) => number)).toEqual([0, 1, 2, 3, 5, 6, 7, 8]);
  burnIn.set(false);
  clock.advance(60_000);
  burnIn.set(true);
  await burnSlowly(all, 1, 2);
  expect(made).toEqual(['cuda', null, 'cuda']);
});

test('[DIS-4] [EXT-8] a device that does not open costs no picture', async () => {
  const all = setUp({ name: 'qsv', make: () => { throw new Error('no such device'); } });
  using burnIn = all.burnIn;
  burnIn.set(true);
  await burnSlowly(all, 4);
  expect([all.made, all.doubted, burnIn.takeFailed(), all.totals()]).toEqual([[null], ['qsv'], ['qsv'], { encoded: 4, dropped: {} }]);
});

test('[DIS-4] [EXT-8] a device that keeps its picture for more than five seconds is given up, and so is one that was let go with a picture', async () => {
  const all = setUp({ name: 'vaapi', make: lossy(2, 'hangs') });
  const { burnIn, sent, made, doubted, totals, clock } = all;
  using _burnIn = burnIn;
  burnIn.set(true);
  await burnSlowly(all, 12, 1, { 2: 'stuck', 3: 'stuck', 4: 'dropped', 5: 'dropped', 6: 'dropped', 7: 'dropped' }); // the third hangs; of the next, the newest waits
  expect([made, doubted]).toEqual([['vaapi', null], ['vaapi']]);
  expect(totals()).toEqual({ encoded: 6, dropped: { failed: 1, encoder_busy: 5 } });
  expect(sent.map(({ frame, randomAccess }) => [frame.seq, randomAccess])).toEqual([[0, true], [1, false], [8, true], [9, false], [10, false], [11, false]]);
  expect(watch(sent.slice(2)).map(({ number }) => number)).toEqual([8, 9, 10, 11]);

  burnIn.set(false);
  clock.advance(120_000);
  burnIn.set(true);
  await burnSlowly(all, 3, 2, { 2: 'stuck' });
  burnIn.set(false);
  burnIn.set(true);
  clock.advance(6_000);
  await burnSlowly(all, 2, 3);
  expect([made, doubted]).toEqual([['vaapi', null, 'vaapi', null], ['vaapi', 'vaapi']]);
  expect(sent.slice(6).map(({ frame, randomAccess }) => [frame.epoch, frame.seq, randomAccess])).toEqual([[2, 0, true], [2, 1, false], [3, 0, true], [3, 1, false]]);
});
