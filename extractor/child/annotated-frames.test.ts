/** Decoded pictures, results of detectors, and pictures with boxes drawn in: the real decoder, scaler and encoders, a clock that moves when told to. */
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import type { DetectionResult } from '../../core/detection.ts';
import { colourOf, toYuv } from '../../core/drawing/box-colour.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import { silentLogger } from '../../platform/logging.ts';
import { readClip } from '../../test/integration/clip.ts';
import type { Clip } from '../../test/integration/clip.ts';
import { until } from '../../test/support/server.ts';
import type { PictureFormat, PictureSpec } from '../port.ts';
import type { PictureHeader } from '../protocol.ts';
import { AnnotatedFrames } from './annotated-frames.ts';
import { CameraPictures } from './camera-pictures.ts';
import type { PictureMeta } from './camera-pictures.ts';
import { Decoder } from './decoder.ts';
import { frameBoxes } from './frame-boxes.ts';
import { SlowLane } from './slow-lane.ts';
import { lookInto } from './testing-decode.ts';

let clip: Clip;
beforeAll(async () => { clip = await readClip(join(import.meta.dirname, '..', '..', 'test/fixtures/media/counter-720p30.mp4')); });

const SPEC: PictureSpec = { format: 'jpeg', width: null, height: null, quality: 100, annotated: true };
/** In pixels of the camera's 1280x720. */
const BOX = { x: 400, y: 300, width: 320, height: 240 };

const frameOf = (seq: number) => ({ stream: 'a', epoch: 1, rtpTs: seq * 3000, captureNtp: null, seq });
const resultOf = (seq: number, x = BOX.x): DetectionResult => ({
  frame: frameOf(seq), capturedAt: seq * 100, model: 'm', modelDigest: 'd', inferenceMs: 1, width: 1280, height: 720,
  detections: [{ className: 'cup', classId: 1, confidence: 0.9, bbox: { ...BOX, x }, trackId: '7' }],
});

const setUp = () => {
  const clock = new FakeClock();
  const sent: (PictureHeader & { readonly bytes: Buffer })[] = [];
  const pictures = new CameraPictures({
    handle: 7, lane: new SlowLane(), guarded: (work) => { work(); }, logger: silentLogger(), sendNoStill: () => { throw new Error('no picture'); },
    send: (header, bytes) => sent.push({ ...header, bytes }) > 0,
  });
  const delivered: [number, string][] = [];
  const frames = new AnnotatedFrames({
    clock,
    deliver: (picture, meta) => {
      delivered.push([meta.index, `${meta.boxes?.drawn.how ?? 'undrawn'} ${String(meta.boxes?.boxes[0]?.x ?? '')}`.trim()]);
      pictures.take(picture, meta);
    },
  });
  return { clock, pictures, frames, sent, delivered, [Symbol.dispose]: () => { frames[Symbol.dispose](); pictures[Symbol.dispose](); } };
};
/** Decodes pictures `[0, count)`, 100 ms apart; detectors look at those that `detected` says. */
const play = (frames: AnnotatedFrames, count: number, detected: (index: number) => boolean): void => {
  using decoder = new Decoder({ codec: 'h264', sps: Buffer.from(clip.tracks.video.sps).toString('base64'), pps: Buffer.from(clip.tracks.video.pps).toString('base64') });
  for (const [i, unit] of clip.units.slice(0, count).entries()) {
    decoder.decode(Buffer.from(unit.data), i, unit.randomAccess, (frame, index) => {
      const meta: PictureMeta = { index, frame: frameOf(index), wall: index * 100, pts: index * 100, late: false, detected: detected(index) };
      frames.take(frame, meta, detected(index) ? ['detect'] : []);
    });
  }
};

/** The red, green and blue of a pixel, as a viewer sees it. */
const seen = (picture: { readonly format: PictureFormat; readonly bytes: Buffer }, x: number, y: number): readonly number[] => lookInto(picture, (frame) => {
  const at = (plane: number, px: number, py: number): number => frame.data?.[plane]?.[py * (frame.linesize[plane] ?? 0) + px] ?? -1;
  if (picture.format === 'png') return [at(0, 3 * x, y), at(0, 3 * x + 1, y), at(0, 3 * x + 2, y)];
  return [at(0, x, y), at(1, x >> 1, y >> 1), at(2, x >> 1, y >> 1)];
});
const apart = (a: readonly number[], b: readonly number[]): number => Math.max(...a.map((value, i) => Math.abs(value - (b[i] ?? 0))));

test('[DIS-4] pictures go on in order, each with what was found in its own frame, or in the last one before it; nothing waits longer than a quarter of a second', () => {
  using all = setUp();
  const { frames, delivered, clock } = all;
  for (const seq of [-4, -2]) frames.onResult('detect', resultOf(seq, seq));
  play(frames, 6, (index) => index % 2 === 0);
  expect(delivered).toEqual([]);
  frames.onResult('detect', resultOf(0, 10));
  expect(delivered).toEqual([[0, 'exact 10'], [1, 'held 10']]);
  clock.advance(250);
  expect(delivered.slice(2)).toEqual([[2, 'held 10'], [3, 'held 10'], [4, 'held 10'], [5, 'none']]); // two intervals of the detector are 400 ms
  frames.onResult('detect', resultOf(4, 14)); // too late
  expect([delivered.length, clock.waiting]).toEqual([6, []]);
});

test('[DIS-4] without a detector pictures go at once, and say that nothing is known', () => {
  using all = setUp();
  play(all.frames, 3, () => false);
  expect(all.delivered).toEqual([[0, 'none'], [1, 'none'], [2, 'none']]);
});

test('[DIS-4] a new epoch lets go of the pictures that wait', () => {
  using all = setUp();
  all.frames.onResult('detect', resultOf(-1));
  play(all.frames, 3, () => true);
  all.frames.forget();
  all.clock.advance(1_000);
  expect(all.delivered).toEqual([]);
});

test.each([['jpeg', null], ['jpeg', 640], ['png', null], ['png', 333], ['webp', null], ['webp', 401]] as const)('[DIS-4] the box is in the pixels of a %s of width %s, where it was found and nowhere else', async (format, width) => {
  using all = setUp();
  const { frames, pictures, sent } = all;
  frames.onResult('detect', resultOf(-1));
  pictures.still(1, { ...SPEC, format, width });
  play(frames, 3, (index) => index === 2);
  await until('the first', () => sent.length === 1);
  frames.onResult('detect', resultOf(2));
  pictures.still(2, { ...SPEC, format, width });
  await until('the third', () => sent.length === 2);
  const [plain, drawn] = sent;
  expect(plain?.drawn).toEqual({ how: 'none', ageMs: 0 });
  expect(drawn).toMatchObject({ frame: { seq: 2 }, drawn: { how: 'exact', ageMs: 0 } });
  const scale = (width ?? 1280) / 1280;
  const rgb = colourOf({ classId: 1, trackId: '7' });
  const yuv = toYuv(rgb, { bt709: false, full: format === 'jpeg' });
  const colour = format === 'png' ? [rgb >> 16, (rgb >> 8) & 0xff, rgb & 0xff] : [yuv.y, yuv.u, yuv.v];
  const left = 2 * Math.round((BOX.x * scale) / 2);
  const middle = 2 * Math.round(((BOX.y + BOX.height / 2) * scale) / 2);
  expect(apart(seen(drawn!, left, middle), colour), 'on the left edge').toBeLessThan(24);
  expect(apart(seen(plain!, left, middle), colour), 'in the picture without a box').toBeGreaterThan(40);
  for (const [x, y] of [[left + 20, middle], [left - 20, middle]] as const) expect(apart(seen(drawn!, x, y), colour), `${String(x)},${String(y)}`).toBeGreaterThan(40);
});

test('[DIS-4] boxes are those of the picture as it is now, also of a camera that has changed its size; of very many the surest are drawn', () => {
  const picture = { frame: frameOf(5), capturedAt: 500 };
  expect(frameBoxes(picture, 640, 360, [resultOf(5)])).toMatchObject({ boxes: [{ x: 200, y: 150, width: 160, height: 120, trackId: '7' }], drawn: { how: 'exact', ageMs: 0 } });
  expect(frameBoxes(picture, 1280, 720, [resultOf(5), resultOf(3)]).drawn).toEqual({ how: 'held', ageMs: 200 });
  const many = resultOf(5);
  const { boxes } = frameBoxes(picture, 1280, 720, Array.from({ length: 3 }, (_, i) => ({ ...many, detections: Array.from({ length: 300 }, () => ({ ...many.detections[0]!, confidence: i / 3 })) })));
  expect([boxes.length, boxes.filter(({ confidence }) => confidence > 0.6).length, boxes.filter(({ confidence }) => confidence === 0).length]).toEqual([500, 300, 0]);
});
