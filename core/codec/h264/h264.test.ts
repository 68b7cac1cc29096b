import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MediaError } from '../../errors.ts';
import { annexBNals, avccNals, isBSlice, toAvcc } from './nal.ts';
import { parseSps } from './sps.ts';
import { avcDecoderConfig, h264Track } from './track.ts';

const hex = (text: string): Buffer => Buffer.from(text, 'hex');
const PPS = hex('68ebccb22c');

describe('parseSps', () => {
  test.each([
    ['x264 High 720p', '6764001facb200a00b7420000003002000000781e30649', { width: 1280, height: 720, profile: 100, constraints: 0, level: 31, maxNumReorderFrames: 0, reorderKnown: true }],
    ['x264 High 1080p, cropped from 1088 lines', '67640028acb200f0044fcb08000003000800000301e078c19240', { width: 1920, height: 1080, level: 40, maxNumReorderFrames: 0 }],
    ['x264 Constrained Baseline', '6742c01fd9005005ba10000003001000000303c0f1832480', { width: 1280, height: 720, profile: 66, constraints: 0xc0, maxNumReorderFrames: 0 }],
    ['x264 High with B-frames, depth stated by the VUI', '6764001facd9405005ba10000003001000000303c0f1831960', { width: 1280, height: 720, maxNumReorderFrames: 2, reorderKnown: true }],
    ['OpenH264 as Chromium sends it: baseline never reorders', '6742c01f8c8d40501e900f08846a', { width: 640, height: 480, profile: 66, maxNumReorderFrames: 0, reorderKnown: true }],
  ])('%s', (_name, sps, expected) => {
    expect(parseSps(hex(sps))).toMatchObject(expected);
  });

  test('a VUI cut short is not a reason to refuse the camera', () => {
    const cut = hex('6764001facd9405005ba10000003001000');
    expect(parseSps(cut)).toMatchObject({ width: 1280, height: 720, maxNumReorderFrames: 3, reorderKnown: false });
  });

  test.each([['an empty unit', ''], ['a PPS', '68ebccb22c'], ['a unit cut off in the middle', '6764001fac'], ['a picture wider than 16,384', '6742c01ff8000008000000']])('%s is refused', (_name, bytes) => {
    expect(() => parseSps(hex(bytes))).toThrow(MediaError);
  });

  test('any bytes parse or are refused, and never crash', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), fc.constantFrom(66, 77, 100, 122, 244), (junk, profile) => {
      try {
        const info = parseSps(Buffer.concat([Buffer.from([0x67, profile]), junk]));
        expect(info.width).toBeGreaterThan(0);
        expect(info.maxNumReorderFrames).toBeLessThanOrEqual(16);
      } catch (error) { expect(error).toBeInstanceOf(MediaError); }
    }), { numRuns: 2_000 });
  });

  test('[D-6] a valid SPS with any one byte changed parses or is refused', () => {
    const sps = hex('6764001facd9405005ba10000003001000000303c0f1831960');
    fc.assert(fc.property(fc.nat(sps.length - 1), fc.nat(255), (at, value) => {
      const changed = Buffer.from(sps);
      changed[at] = value;
      try { parseSps(changed); } catch (error) { expect(error).toBeInstanceOf(MediaError); }
    }));
  });
});

describe('tracks', () => {
  const sps = hex('6764001facb200a00b7420000003002000000781e30649');

  test('a track names its codec, size and reordering', () => {
    expect(h264Track(sps, PPS)).toMatchObject({ codecString: 'avc1.64001f', width: 1280, height: 720, reorderDepth: 0 });
    expect(h264Track(sps, PPS, 3).reorderDepth).toBe(3);
  });

  test('avcC is what ffmpeg writes for the same parameter sets', () => {
    expect(avcDecoderConfig(h264Track(sps, PPS)).toString('hex')).toBe(`0164001fffe10017${sps.toString('hex')}010005${PPS.toString('hex')}fdf8f800`);
  });

  test('a PPS that is none is refused', () => {
    expect(() => h264Track(sps, sps)).toThrow(MediaError);
  });
});

describe('NAL units', () => {
  test('both framings carry the same units', () => {
    const nals = [hex('67640028'), hex('68eb'), hex('65010203')];
    expect(avccNals(toAvcc(nals))).toEqual(nals);
    expect(annexBNals(Buffer.concat(nals.flatMap((nal, i) => [hex(i === 0 ? '00000001' : '000001'), nal])))).toEqual(nals);
  });

  test('what AVCC writes it reads, for any units', () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { minLength: 1 }), (nals) => {
      expect(avccNals(toAvcc(nals)).map((nal) => [...nal])).toEqual(nals.map((nal) => [...nal]));
    }));
  });

  test('any bytes split or are refused, and never crash', () => {
    fc.assert(fc.property(fc.uint8Array({ size: 'large' }), (junk) => {
      const bytes = Buffer.from(junk);
      annexBNals(bytes);
      isBSlice(bytes);
      try { avccNals(bytes); } catch (error) { expect(error).toBeInstanceOf(MediaError); }
    }));
  });

  test('B slices are told from P and I slices', () => {
    // first_mb 0 = 1; slice_type 0 (P) = 1, 1 (B) = 010, 6 (B) = 00111, 7 (I) = 0001000
    expect(isBSlice(Buffer.from([0x41, 0b11000000]))).toBe(false);
    expect(isBSlice(Buffer.from([0x01, 0b10100000]))).toBe(true);
    expect(isBSlice(Buffer.from([0x01, 0b10011100]))).toBe(true);
    expect(isBSlice(Buffer.from([0x65, 0b10001000]))).toBe(false);
  });
});
