import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MediaError } from '../errors.ts';
import { aacTrack, parseAudioSpecificConfig } from './aac/audio-specific-config.ts';
import { opusDecoderConfig, opusPacketSamples, opusTrack } from './opus/opus.ts';
import { isVp8Keyframe, vp8KeyframeSize } from './vp8/frame-header.ts';

const hex = (text: string): Buffer => Buffer.from(text, 'hex');

describe('AudioSpecificConfig', () => {
  test.each([
    ['1190', { objectType: 2, samplingRate: 48_000, channels: 2 }],
    ['1210', { objectType: 2, samplingRate: 44_100, channels: 2 }],
    ['1588', { objectType: 2, samplingRate: 8_000, channels: 1 }],
    ['1190' + '56e500', { objectType: 2, samplingRate: 48_000, channels: 2 }],
    ['2b8a0800', { objectType: 5, samplingRate: 22_050, channels: 1 }],
  ])('%s', (bytes, expected) => { expect(parseAudioSpecificConfig(hex(bytes))).toMatchObject(expected); });

  test('a track names its codec', () => {
    expect(aacTrack(hex('1190'))).toMatchObject({ codecString: 'mp4a.40.2', clockRate: 48_000, channels: 2 });
  });

  test('any bytes parse or are refused, and never crash', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 20 }), (junk) => {
      try { parseAudioSpecificConfig(junk); } catch (error) { expect(error).toBeInstanceOf(MediaError); }
    }));
  });
});

describe('Opus', () => {
  test.each([
    ['20 ms CELT', '78', 960], ['2 × 20 ms', '79', 1_920], ['3 × 20 ms, code 3', '7b03', 2_880], ['60 ms SILK', '18', 2_880],
    ['10 ms hybrid', '60', 480], ['2.5 ms CELT', '80', 120], ['nothing', '', 0], ['more than 120 ms', '7b3f', 0],
  ])('%s', (_name, packet, samples) => { expect(opusPacketSamples(hex(packet))).toBe(samples); });

  test('dOps of a stereo track', () => {
    expect(opusDecoderConfig(opusTrack()).toString('hex')).toBe('000201380000bb80000000');
  });

  test('any packet has between 0 and 5,760 samples', () => {
    fc.assert(fc.property(fc.uint8Array(), (packet) => {
      expect(opusPacketSamples(packet)).toBeLessThanOrEqual(5_760);
    }));
  });
});

describe('VP8', () => {
  test('a key frame tells its size, without the scaling bits', () => {
    const frame = hex('d0e6019d012a0045d042');
    expect(isVp8Keyframe(frame)).toBe(true);
    expect(vp8KeyframeSize(frame)).toEqual({ width: 0x0500, height: 0x02d0 });
  });

  test('any bytes have a size or none', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 16 }), (junk) => { vp8KeyframeSize(junk); }));
    expect(vp8KeyframeSize(hex('31'))).toBeNull();
  });
});
