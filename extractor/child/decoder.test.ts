import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import fc from 'fast-check';
import { AVCOL_RANGE_UNSPECIFIED, AVCOL_SPC_UNSPECIFIED, AV_LOG_QUIET, AV_PIX_FMT_NV12, AV_PIX_FMT_YUV420P } from 'node-av/constants';
import { Frame, Log } from 'node-av/lib';
import { beforeAll, expect, test } from 'vitest';
import { annexBNals, toAvcc } from '../../core/codec/h264/nal.ts';
import { MediaError } from '../../core/errors.ts';
import { readClip } from '../../test/integration/clip.ts';
import type { Clip } from '../../test/integration/clip.ts';
import type { CodecMessage } from '../protocol.ts';
import { parameterSets, toAnnexB } from './annex-b.ts';
import { Decoder } from './decoder.ts';
import { layoutOf } from './picture-encoder.ts';
import { PictureScaler } from './picture-scaler.ts';
import { PROBE_PICTURES } from './probe-pictures.ts';
import { Scaler } from './scaler.ts';

const MEDIA = join(import.meta.dirname, '..', '..', 'test/fixtures/media');
let baseline: Clip;
let bframes: Clip;
beforeAll(async () => {
  Log.setLevel(AV_LOG_QUIET); // as the extractor does
  baseline = await readClip(join(MEDIA, 'vtest-720p30-baseline.mp4'));
  bframes = await readClip(join(MEDIA, 'vtest-720p30-bframes.mp4'));
});

const codecOf = ({ tracks: { video } }: Clip): CodecMessage => ({ codec: 'h264', sps: Buffer.from(video.sps).toString('base64'), pps: Buffer.from(video.pps).toString('base64') });

test('[EXT-5] without reordering every access unit gives its picture at once', () => {
  using decoder = new Decoder(codecOf(baseline));
  for (const [i, unit] of baseline.units.slice(0, 40).entries()) {
    const out: number[] = [];
    decoder.decode(Buffer.from(unit.data), i, unit.randomAccess, (frame, index) => {
      out.push(index);
      expect([frame.width, frame.height]).toEqual([1280, 720]);
    });
    expect(out).toEqual([i]);
  }
});

test('[EXT-5] with B-frames pictures come in order of presentation, each with the number of its own access unit', () => {
  using decoder = new Decoder(codecOf(bframes));
  const units = bframes.units.slice(0, 60);
  const out: number[] = [];
  for (const [i, unit] of units.entries()) decoder.decode(Buffer.from(unit.data), i, unit.randomAccess, (_frame, index) => { out.push(index); });
  const times = out.map((index) => units[index]?.pts ?? -1);
  expect(out.length).toBeGreaterThan(55);
  expect(new Set(out).size).toBe(out.length);
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  expect(out).not.toEqual(out.toSorted((a, b) => a - b));
});

test('[EXT-7] after damage and a reset it goes on at the next random access unit', () => {
  using decoder = new Decoder(codecOf(baseline));
  const decode = (i: number, data: Buffer, randomAccess: boolean): number => {
    let frames = 0;
    decoder.decode(data, i, randomAccess, () => { frames++; });
    return frames;
  };
  decode(0, Buffer.from(baseline.units[0]!.data), true);
  expect(() => decode(1, Buffer.from([0, 0, 0, 9, 1]), false)).toThrow(MediaError);
  expect(() => decode(2, Buffer.from([0, 0, 0, 4, 0x65, 1, 2, 3]), true)).toThrow(MediaError);
  decoder.reset();
  expect(decode(30, Buffer.from(baseline.units[30]!.data), true)).toBe(1);
});

test('VP8 is decoded, too', () => {
  const ivf = execFileSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', 'testsrc=size=160x96:rate=10', '-frames:v', '5', '-c:v', 'libvpx', '-auto-alt-ref', '0', '-f', 'ivf', '-']);
  using decoder = new Decoder({ codec: 'vp8' });
  const out: string[] = [];
  for (const [i, unit] of ivfUnits(ivf).entries()) decoder.decode(unit, i, i === 0, (frame, index) => { out.push(`${index}:${frame.width}x${frame.height}`); });
  expect(out).toEqual(['0:160x96', '1:160x96', '2:160x96', '3:160x96', '4:160x96']);
});

test('NAL unit lengths become start codes in place, or the access unit is refused', () => {
  const unit = Buffer.from([0, 0, 0, 2, 0x67, 1, 0, 0, 0, 1, 0x65]);
  expect(toAnnexB(unit, 'h264')).toEqual({ hasParameterSets: true });
  expect([...unit]).toEqual([0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x65]);
  expect([...parameterSets('Zw==', 'aA==')]).toEqual([0, 0, 0, 1, 0x67, 0, 0, 0, 1, 0x68]);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    try { toAnnexB(Buffer.from(bytes), 'h264'); } catch (error) { expect(error).toBeInstanceOf(MediaError); }
  }));
});

const RATE = 10;
const ENCODED = `testsrc2=size=322x182:rate=${String(RATE)}:duration=3,format=yuv420p`;
const ffmpeg = (...args: readonly string[]): Buffer => execFileSync('ffmpeg', ['-v', 'error', ...args], { maxBuffer: 64 << 20, env: { ...process.env, SVT_LOG: '1' } });

/** Access units of an IVF file: a header of 32 bytes, then for each its length (u32 LE), 8 bytes of time, the unit. */
const ivfUnits = (ivf: Buffer): Buffer[] => {
  const units: Buffer[] = [];
  for (let at = 32; at < ivf.length;) {
    const length = ivf.readUInt32LE(at);
    units.push(Buffer.from(ivf.subarray(at + 12, at + 12 + length)));
    at += 12 + length;
  }
  return units;
};

/** H.265 as a depacketiser gives it: NAL units behind their lengths, cut before each first slice of a picture, without parameter sets in the stream. */
const h265Stream = (annexB: Buffer): { readonly message: CodecMessage; readonly units: Buffer[] } => {
  const typeOf = (nal: Buffer): number => ((nal[0] ?? 0) >> 1) & 0x3f;
  const nals = annexBNals(annexB);
  const set = (type: number): string => (nals.find((nal) => typeOf(nal) === type) ?? Buffer.alloc(0)).toString('base64');
  const pictures: Buffer[][] = [];
  for (const nal of nals.filter((one) => typeOf(one) < 32)) {
    if (((nal[2] ?? 0) & 0x80) !== 0) pictures.push([]); // first_slice_segment_in_pic_flag
    pictures.at(-1)?.push(nal);
  }
  return { message: { codec: 'h265', vps: set(32), sps: set(33), pps: set(34) }, units: pictures.map(toAvcc) };
};

/** Pictures in planes of 4:2:0, one behind the other, as the decoder shows them; `order`: the numbers of their access units. */
const decodeAll = (message: CodecMessage, units: readonly Buffer[], randomAccess: (index: number) => boolean): { readonly pictures: Buffer[]; readonly order: number[] } => {
  using decoder = new Decoder(message);
  const pictures: Buffer[] = [];
  const order: number[] = [];
  const onFrame = (frame: Frame, index: number): void => {
    expect([frame.width, frame.height, frame.format]).toEqual([322, 182, AV_PIX_FMT_YUV420P]);
    pictures.push(frame.toBuffer());
    order.push(index);
  };
  for (const [i, unit] of units.entries()) decoder.decode(Buffer.from(unit), i, randomAccess(i), onFrame);
  decoder.drain(onFrame);
  return { pictures, order };
};

test.each([
  ['H.265 with B-frames', 'h265', ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none:bframes=3:b-adapt=0:keyint=10:min-keyint=10:no-open-gop=1'], 'hevc'],
  ['VP9 with hidden frames', 'vp9', ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', '-b:v', '300k', '-auto-alt-ref', '1', '-lag-in-frames', '10', '-g', '10'], 'ivf'],
  ['AV1 by libaom', 'av1', ['-c:v', 'libaom-av1', '-cpu-used', '8', '-usage', 'realtime', '-b:v', '300k', '-g', '10'], 'ivf'],
  ['AV1 by SVT, with pictures that are shown later', 'av1', ['-c:v', 'libsvtav1', '-preset', '12', '-crf', '40', '-g', '10'], 'ivf'],
] as const)('[EXT-8] %s: each access unit gives its picture, pixel for pixel what ffmpeg decodes', { timeout: 60_000 }, (_name, codec, encoder, format) => {
  const stream = ffmpeg('-f', 'lavfi', '-i', ENCODED, ...encoder, '-f', format, '-');
  const raw = execFileSync('ffmpeg', ['-v', 'error', '-f', format, '-i', '-', '-f', 'rawvideo', '-pix_fmt', 'yuv420p', '-fps_mode', 'passthrough', '-'], { input: stream, maxBuffer: 64 << 20 });
  const { message, units } = codec === 'h265' ? h265Stream(stream) : { message: { codec }, units: ivfUnits(stream) };
  const { pictures, order } = decodeAll(message, units, (index) => index % 10 === 0);
  expect(units).toHaveLength(3 * RATE);
  expect(order.toSorted((a, b) => a - b)).toEqual(units.map((_, i) => i));
  expect(Buffer.concat(pictures).equals(raw)).toBe(true);
});

test('[EXT-7] [EXT-8] H.265, VP9 and AV1 that are damaged give pictures or are refused, and go on at the next random access unit', () => {
  for (const [codec, { message, data }] of Object.entries(PROBE_PICTURES)) {
    using decoder = new Decoder(message);
    const good = Buffer.from(data, 'base64');
    fc.assert(fc.property(fc.nat(good.length - 5), fc.uint8Array({ minLength: 1, maxLength: 40 }), (at, noise) => {
      const bad = Buffer.from(good);
      bad.set(noise.slice(0, good.length - at), at);
      try { decoder.decode(bad, 0, true, () => undefined); } catch (error) { expect(error, codec).toBeInstanceOf(MediaError); }
      decoder.reset();
    }), { numRuns: 30 });
    let shown = 0;
    decoder.decode(Buffer.from(good), 1, true, () => { shown++; });
    decoder.drain(() => { shown++; });
    expect(shown, codec).toBe(1);
  }
});

/** A picture of one grey. */
const grey = (width: number, height: number, luma: number): Frame => {
  const frame = new Frame();
  frame.alloc();
  frame.width = width;
  frame.height = height;
  frame.format = AV_PIX_FMT_YUV420P;
  frame.getBuffer(0);
  for (const [plane, data] of (frame.data ?? []).entries()) data.fill(plane === 0 ? luma : 128);
  return frame;
};

test('[EXT-8] a picture in the pixels that devices give out (NV12) is scaled to what its planes are, for detectors and for viewers', () => {
  using decoder = new Decoder(codecOf(baseline));
  using toNv12 = new PictureScaler(1280, 720, { format: AV_PIX_FMT_NV12, space: AVCOL_SPC_UNSPECIFIED, range: AVCOL_RANGE_UNSPECIFIED });
  using forDetectors = new Scaler(416, 416);
  using forViewers = new PictureScaler(640, 360, layoutOf('jpeg'));
  const scaled = (frame: Frame, index: number): Buffer[] => {
    const [lease] = forDetectors.scale(frame, 1);
    return [Buffer.from(lease!.bytes), forViewers.scale(frame, index).toBuffer()];
  };
  decoder.decode(Buffer.from(baseline.units[0]!.data), 0, true, (frame) => {
    const planes = scaled(frame, 0);
    const nv12 = toNv12.scale(frame, 0);
    expect(nv12.format).toBe(AV_PIX_FMT_NV12);
    nv12.chromaLocation = frame.chromaLocation; // what is known of a picture comes with it from a device
    for (const [i, bytes] of scaled(nv12, 1).entries()) expect(bytes.equals(planes[i]!), String(i)).toBe(true);
  });
  expect.assertions(3);
});

test('a picture is letterboxed into RGB with 114 beside it, also after its size changed', () => {
  using scaler = new Scaler(64, 64);
  for (const [width, height, inside, outside] of [[1280, 720, [32, 32], [32, 2]], [720, 1280, [32, 32], [2, 32]], [640, 640, [1, 1], null]] as const) {
    using frame = grey(width, height, 235);
    for (let round = 0; round < 3; round++) { // a buffer that comes back is as good as a new one
      const [lease] = scaler.scale(frame, 1);
      const at = ([x, y]: readonly [number, number]): number => lease!.bytes[3 * (64 * y + x)] ?? -1;
      expect(at(inside)).toBeGreaterThan(250);
      if (outside) expect(at(outside)).toBe(114);
      lease![Symbol.dispose]();
    }
  }
});

test('a buffer is free again when its last share is given back, and only once', () => {
  using scaler = new Scaler(64, 64);
  using frame = grey(64, 64, 100);
  const [a, b] = scaler.scale(frame, 2);
  expect(a!.bytes).toBe(b!.bytes);
  a![Symbol.dispose]();
  a![Symbol.dispose]();
  expect(scaler.scale(frame, 1)[0]!.bytes).not.toBe(b!.bytes);
  b![Symbol.dispose]();
  expect(scaler.scale(frame, 1)[0]!.bytes).toBe(b!.bytes);
});
