import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import fc from 'fast-check';
import { AV_PIX_FMT_YUV420P } from 'node-av/constants';
import { Frame } from 'node-av/lib';
import { beforeAll, expect, test } from 'vitest';
import { MediaError } from '../../core/errors.ts';
import { readClip } from '../../test/integration/clip.ts';
import type { Clip } from '../../test/integration/clip.ts';
import type { CodecMessage } from '../protocol.ts';
import { parameterSets, toAnnexB } from './annex-b.ts';
import { Decoder } from './decoder.ts';
import { Scaler } from './scaler.ts';

const MEDIA = join(import.meta.dirname, '..', '..', 'test/fixtures/media');
let baseline: Clip;
let bframes: Clip;
beforeAll(async () => {
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
  // IVF: a header of 32 bytes, then per frame its length (u32 LE), 8 bytes of time, the frame.
  for (let at = 32, i = 0; at < ivf.length; i++) {
    const length = ivf.readUInt32LE(at);
    decoder.decode(ivf.subarray(at + 12, at + 12 + length), i, i === 0, (frame, index) => { out.push(`${index}:${frame.width}x${frame.height}`); });
    at += 12 + length;
  }
  expect(out).toEqual(['0:160x96', '1:160x96', '2:160x96', '3:160x96', '4:160x96']);
});

test('NAL unit lengths become start codes in place, or the access unit is refused', () => {
  const unit = Buffer.from([0, 0, 0, 2, 0x67, 1, 0, 0, 0, 1, 0x65]);
  expect(toAnnexB(unit)).toEqual({ hasParameterSets: true });
  expect([...unit]).toEqual([0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x65]);
  expect([...parameterSets(Buffer.from([0x67]), Buffer.from([0x68]))]).toEqual([0, 0, 0, 1, 0x67, 0, 0, 0, 1, 0x68]);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    try { toAnnexB(Buffer.from(bytes)); } catch (error) { expect(error).toBeInstanceOf(MediaError); }
  }));
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
