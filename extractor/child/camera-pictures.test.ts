import { join } from 'node:path';
import { AV_PIX_FMT_YUV420P } from 'node-av/constants';
import { Frame } from 'node-av/lib';
import { beforeAll, expect, test } from 'vitest';
import { silentLogger } from '../../platform/logging.ts';
import { readClip } from '../../test/integration/clip.ts';
import type { Clip } from '../../test/integration/clip.ts';
import { readFrameStrip } from '../../test/support/frame-strip.ts';
import { until } from '../../test/support/server.ts';
import type { PictureSpec } from '../port.ts';
import type { NoStillMessage, PictureHeader } from '../protocol.ts';
import { CameraPictures } from './camera-pictures.ts';
import { Decoder } from './decoder.ts';
import { jpegQuantiser } from './picture-encoder.ts';
import { SlowLane } from './slow-lane.ts';
import { lookInto } from './testing-decode.ts';

let clip: Clip;
beforeAll(async () => { clip = await readClip(join(import.meta.dirname, '..', '..', 'test/fixtures/media/counter-720p30.mp4')); });

const JPEG: PictureSpec = { format: 'jpeg', width: 320, height: null, quality: 80, annotated: false };

interface Sent extends PictureHeader { readonly bytes: Buffer }

const setUp = () => {
  const sent: Sent[] = [];
  const refused: NoStillMessage[] = [];
  const lane = new SlowLane();
  const pipe = { full: false, refused: 0 };
  const pictures = new CameraPictures({
    handle: 7, lane, guarded: (work) => { work(); }, logger: silentLogger(),
    send: (header, bytes) => {
      if (pipe.full) pipe.refused++;
      else sent.push({ ...header, bytes });
      return !pipe.full;
    },
    sendNoStill: (failure) => { refused.push(failure); },
  });
  return { pictures, sent, refused, pipe, lane };
};

/** Decodes pictures `[0, count)` of the clip; `late` says which are, `detected` which detectors look at. */
const play = (pictures: CameraPictures, count: number, late: (index: number) => boolean = () => false, detected: (index: number) => boolean | null = () => null): void => {
  using decoder = new Decoder({ codec: 'h264', sps: Buffer.from(clip.tracks.video.sps).toString('base64'), pps: Buffer.from(clip.tracks.video.pps).toString('base64') });
  for (const [i, unit] of clip.units.slice(0, count).entries()) {
    decoder.decode(Buffer.from(unit.data), i, unit.randomAccess, (frame, index) => {
      pictures.take(frame, { index, frame: { stream: 'a', epoch: 1, rtpTs: index * 3000, captureNtp: null, seq: index }, wall: index, pts: (index * 1000) / 30, late: late(index), detected: detected(index) });
    });
  }
};

interface Decoded { readonly width: number; readonly height: number; readonly number: number | null; readonly luma: number }
/** What an encoded picture shows. */
const decode = (picture: Pick<Sent, 'format' | 'bytes'>): Decoded => lookInto(picture, (frame) => {
  const { width, height } = frame;
  const plane = frame.data?.[0] ?? Buffer.alloc(0);
  const channels = picture.format === 'png' ? 3 : 1;
  const stride = frame.linesize[0] ?? 0;
  return { width, height, number: readFrameStrip(plane, width, Math.floor((height * 40) / 720), channels, stride), luma: plane[Math.floor(height / 2) * stride + Math.floor(width / 2) * channels] ?? 0 };
});

test.each([
  [{ ...JPEG, width: null }, 1280, 720], [JPEG, 320, 180], [{ ...JPEG, width: 641 }, 641, 361], [{ ...JPEG, format: 'png', width: 400 }, 400, 225], [{ ...JPEG, format: 'webp', height: 300, width: null }, 533, 300],
  [{ ...JPEG, format: 'png', width: 1500 }, 1280, 720],
] as const)('[EXT-9] a still %o is of the picture its FrameRef names', async (spec, width, height) => {
  const { pictures, sent } = setUp();
  using _pictures = pictures;
  play(pictures, 12);
  pictures.still(3, spec);
  await until('it is encoded', () => sent.length === 1);
  expect(sent[0]).toMatchObject({ handle: 7, streams: [], stills: [3], frame: { stream: 'a', seq: 11 }, format: spec.format, width, height, sourceWidth: 1280, sourceHeight: 720, fresh: true, dropped: 0 });
  expect(decode(sent[0]!)).toMatchObject({ width, height, number: 11 });
});

test('[EXT-9] a still asked for before there is a picture gets the first that comes, late or not', async () => {
  const { pictures, sent } = setUp();
  using _pictures = pictures;
  pictures.still(1, JPEG);
  play(pictures, 1, () => true);
  await until('it is encoded', () => sent.length === 1);
  expect(decode(sent[0]!).number).toBe(0);
});

test('[EXT-9] one still makes nobody hold pictures for ever: after some seconds in which nobody asks, it is as before', async () => {
  const { pictures, sent } = setUp();
  using _pictures = pictures;
  pictures.still(1, JPEG);
  play(pictures, 60);
  await until('it is encoded', () => sent.length === 1);
  expect([pictures.wanted, pictures.outputs]).toEqual([true, 1]);
  play(pictures, 310);
  expect([pictures.wanted, pictures.outputs]).toEqual([false, 0]);
  pictures.still(2, JPEG);
  expect(pictures.wanted).toBe(true);
  play(pictures, 1);
  await until('it is encoded anew', () => sent.length === 2);
});

test('[EXT-1] who wants the same of the same picture shares one encoding, also who comes when it is done', async () => {
  const { pictures, sent } = setUp();
  using _pictures = pictures;
  play(pictures, 5);
  pictures.setStreams([{ id: 1, spec: JPEG, fps: 30 }]);
  for (const id of [10, 11, 12]) pictures.still(id, { ...JPEG, height: 180 }); // comes to the same size
  await until('all have it', () => sent.flatMap(({ stills }) => stills).length === 3);
  expect(sent.map(({ fresh, streams, stills }) => ({ fresh, streams, stills }))).toEqual([{ fresh: true, streams: [1], stills: [] }, { fresh: false, streams: [], stills: [10, 11, 12] }]);
  pictures.still(13, JPEG);
  expect(sent.at(-1)).toMatchObject({ fresh: false, stills: [13] });
  expect(sent.every(({ bytes }) => bytes.equals(sent[0]!.bytes))).toBe(true);
});

test('[EXT-6] an encoder that is busy takes the newest picture next, and those in between are counted', async () => {
  const { pictures, sent } = setUp();
  using _pictures = pictures;
  pictures.setStreams([{ id: 1, spec: JPEG, fps: 30 }]);
  play(pictures, 20); // in one turn: the first one's encoding cannot have ended
  await until('two are encoded', () => sent.length === 2);
  expect(sent.map(({ frame, dropped }) => [frame.seq, dropped])).toEqual([[0, 18], [19, 0]]);
  expect(sent.map((each) => decode(each).number)).toEqual([0, 19]);
});

test('[EXT-9] one encoder makes many pictures, each the picture it says', async () => {
  const { pictures, sent } = setUp();
  using _pictures = pictures;
  for (let count = 1; count <= 6; count++) {
    play(pictures, count);
    for (const [i, format] of (['jpeg', 'png', 'webp'] as const).entries()) pictures.still(10 * count + i, { ...JPEG, format });
    await until('all formats', () => sent.length === 3 * count);
  }
  expect(sent.every(({ fresh }) => fresh)).toBe(true);
  for (const each of sent) expect(decode(each).number, `${each.format} ${String(each.frame.seq)}`).toBe(each.frame.seq);
});

test('[EXT-6] late pictures are not shown as they come, and a full pipe loses pictures, counted', async () => {
  const { pictures, sent, pipe } = setUp();
  using _pictures = pictures;
  pictures.setStreams([{ id: 1, spec: JPEG, fps: 30 }]);
  play(pictures, 10, (index) => index < 9);
  await until('the one in time', () => sent.length === 1);
  expect(sent[0]?.frame.seq).toBe(9);
  pipe.full = true;
  play(pictures, 1);
  await until('one is lost', () => pipe.refused === 1);
  pipe.full = false;
  play(pictures, 2);
  await until('the next', () => sent.length > 1);
  expect(sent[1]).toMatchObject({ streams: [1] });
  expect(sent[1]?.dropped).toBeGreaterThan(0);
});

test.each([['that look at every second picture', (index: number) => index % 2 === 1, 1], ['that look at none for long', () => false, 5]])('[DIS-3] pictures begin with one of detectors %s, so that at the same rate each has its own result; they do not wait for ever', async (_name, detected, first) => {
  const { pictures, sent } = setUp();
  using _pictures = pictures;
  pictures.setStreams([{ id: 1, spec: JPEG, fps: 15 }]);
  play(pictures, 8, () => false, detected);
  await until('two are encoded', () => sent.length === 2); // the first, and the newest when it was done
  expect(sent[0]?.frame.seq).toBe(first);
  expect((sent[0]?.dropped ?? 0) + (sent[1]?.dropped ?? 0)).toBe(Math.floor((7 - first) / 2) - 1);
});

test('[EXT-2] who watches pictures is shown them in another size from the next one on, without being asked for anew', async () => {
  const { pictures, sent } = setUp();
  using _pictures = pictures;
  for (const [i, height] of [null, 360, null].entries()) {
    pictures.setStreams([{ id: 1, spec: { ...JPEG, width: null, height }, fps: 30 }]);
    expect(sent).toHaveLength(i);
    using frame = grey(1280, 720);
    take(pictures, frame, i);
    await until('it is shown', () => sent.length === i + 1);
    expect(sent[i]).toMatchObject({ streams: [1], height: height ?? 720, sourceHeight: 720 });
  }
});

test('[EXT-9] a new epoch shows nobody the past', async () => {
  const { pictures, sent } = setUp();
  using _pictures = pictures;
  play(pictures, 5);
  pictures.forget();
  pictures.still(1, JPEG);
  expect(sent).toEqual([]);
  play(pictures, 1);
  await until('it is encoded', () => sent.length === 1);
  expect(sent[0]?.frame.seq).toBe(0);
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
const take = (pictures: CameraPictures, frame: Frame, index: number): void => {
  pictures.take(frame, { index, frame: { stream: 'a', epoch: 1, rtpTs: 0, captureNtp: null, seq: index }, wall: 0, pts: index * 1000, late: false, detected: null });
};

test.each([[16, 16], [17, 4000], [4096, 16], [2, 2]])('[EXT-9] a camera of %i x %i is shown in every format and size, or refused, and never a crash', async (width, height) => {
  const { pictures, sent, refused } = setUp();
  using _pictures = pictures;
  using frame = grey(width, height);
  take(pictures, frame, 0);
  let id = 0;
  for (const format of ['jpeg', 'png', 'webp'] as const) for (const wanted of [null, 16, 333]) pictures.still(id++, { format, width: wanted, height: null, quality: 100, annotated: false });
  await until('all are answered', () => sent.flatMap(({ stills }) => stills).length + refused.length === id);
  expect(refused).toEqual([]);
  for (const each of sent) expect(decode(each)).toMatchObject({ width: each.width, height: each.height });
  expect(Math.abs(decode(sent.find(({ format }) => format === 'png')!).luma - 128)).toBeLessThan(3); // 126 of 16..235 is the middle of 0..255
});

test('[EXT-7] a camera that changes its size with every picture leaves no heap of encoders behind', async () => {
  const { pictures, sent } = setUp();
  using _pictures = pictures;
  pictures.setStreams([{ id: 1, spec: { ...JPEG, width: null }, fps: 60 }]);
  for (let i = 0; i < 40; i++) {
    using frame = grey(64 + 2 * i, 64);
    take(pictures, frame, i);
    await until('it is shown', () => sent.length === i + 1);
  }
  expect(pictures.outputs).toBeLessThan(5);
});

test('[EXT-9] disposed of while it encodes, it sends nothing more', async () => {
  const { pictures, sent, refused, lane } = setUp();
  play(pictures, 3);
  for (const [id, format] of (['jpeg', 'png', 'webp'] as const).entries()) pictures.still(id, { ...JPEG, width: null, format });
  await new Promise(setImmediate); // PNG's turn has begun, WebP's has not
  pictures[Symbol.dispose]();
  await lane.run(() => Promise.resolve());
  expect([sent, refused]).toEqual([[], []]);
});

test('[EXT-9] the better the quality, the finer JPEG\'s quantiser, as libjpeg has it', () => {
  expect([1, 25, 50, 75, 80, 90, 100].map(jpegQuantiser)).toEqual([31, 28, 14, 7, 6, 3, 2]);
});
