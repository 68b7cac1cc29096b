import { AV_LOG_QUIET } from 'node-av/constants';
import { Log } from 'node-av/lib';
import { beforeAll, expect, test } from 'vitest';
import { CODECS } from '../hardware/hardware-choice.ts';
import { Decoder } from './decoder.ts';
import type { OnFrame, PictureDecoder } from './decoder.ts';
import { probeDecoder, probeDevice } from './device-probe.ts';
import { PROBE_PICTURES } from './probe-pictures.ts';

beforeAll(() => { Log.setLevel(AV_LOG_QUIET); });

/** Software under another name, which spoils what it shows. */
class Spoiled implements PictureDecoder {
  readonly #decoder: Decoder;
  readonly #spoil: (planes: readonly Buffer[]) => void;
  constructor(decoder: Decoder, spoil: (planes: readonly Buffer[]) => void) {
    this.#decoder = decoder;
    this.#spoil = spoil;
  }
  #spoiled(onFrame: OnFrame): OnFrame {
    return (frame, index) => {
      this.#spoil(frame.data ?? []);
      onFrame(frame, index);
    };
  }
  decode(data: Buffer, index: number, randomAccess: boolean, onFrame: OnFrame): void { this.#decoder.decode(data, index, randomAccess, this.#spoiled(onFrame)); }
  drain(onFrame: OnFrame): void { this.#decoder.drain(this.#spoiled(onFrame)); }
  reset(): void { this.#decoder.reset(); }
  [Symbol.dispose](): void { this.#decoder[Symbol.dispose](); }
}

test.each(CODECS)('[EXT-8] the built-in %s picture is one that software shows, and a decoder that shows it so passes', (codec) => {
  expect(() => { probeDecoder(codec, (message) => new Decoder(message)); }).not.toThrow();
});

test('[EXT-8] all built-in pictures show the same', () => {
  const shown = CODECS.map((codec) => {
    using decoder = new Decoder(PROBE_PICTURES[codec].message);
    const seen: number[] = [];
    const onFrame: OnFrame = (frame) => { for (const [x, y] of [[8, 8], [128, 40], [200, 90], [250, 140]] as const) seen.push(frame.data?.[0]?.[y * (frame.linesize[0] ?? 0) + x] ?? -1); };
    decoder.decode(Buffer.from(PROBE_PICTURES[codec].data, 'base64'), 0, true, onFrame);
    decoder.drain(onFrame);
    return seen;
  });
  for (const seen of shown) for (const [i, value] of seen.entries()) expect(Math.abs(value - (shown[0]?.[i] ?? -99))).toBeLessThan(40);
});

test.each([
  ['a grey picture', (planes: readonly Buffer[]) => { for (const plane of planes) plane.fill(128); }],
  ['one with swapped colours', ([, u, v]: readonly Buffer[]) => {
    const kept = Buffer.from(u!);
    v!.copy(u!);
    kept.copy(v!);
  }],
  ['one whose lower half is missing', ([y]: readonly Buffer[]) => { y!.fill(0, y!.length / 2); }],
] as const)('[EXT-8] a device that opens and shows %s is not trusted', (_name, spoil) => {
  expect(() => { probeDecoder('h264', (message) => new Spoiled(new Decoder(message), spoil)); }).toThrow(/not what is encoded/);
});

test('[EXT-8] a device that shows another picture size, or none, is not trusted', () => {
  const other = PROBE_PICTURES.vp8;
  expect(() => { probeDecoder('h264', () => ({ decode: () => undefined, drain: () => undefined, reset: () => undefined, [Symbol.dispose]: () => undefined })); }).toThrow('it shows no picture');
  expect(() => { probeDecoder('h264', () => { throw new Error('it does not open'); }); }).toThrow('it does not open');
  expect(() => { probeDecoder('h264', () => new Decoder({ ...other.message })); }).toThrow();
});

test('[EXT-8] a device that this machine does not have says so for the whole device', async () => {
  const verdict = await probeDevice({ type: 'vaapi', device: '/dev/null' });
  expect(verdict).toEqual({ decode: [], encode: false, failures: { device: expect.stringContaining('opening vaapi /dev/null') as string } });
});
