import { AV_LOG_QUIET } from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, Log } from 'node-av/lib';
import type { Frame } from 'node-av/lib';
import { beforeAll, expect, test } from 'vitest';
import { NalType, avccNals, nalType, toAvcc } from '../../core/codec/h264/nal.ts';
import { CODECS } from '../hardware/hardware-choice.ts';
import { Decoder } from './decoder.ts';
import type { OnFrame, PictureDecoder } from './decoder.ts';
import { probeDecoder, probeDevice, probeEncoder } from './device-probe.ts';
import { DEVICE_ENCODERS, SOFTWARE_ENCODER } from './encoder-kinds.ts';
import { H264Encoder } from './h264-encoder.ts';
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

/** Software under another name, with something wrong with it. */
const spoiled = (first: Frame, encode: (encoder: H264Encoder, ...args: Parameters<H264Encoder['encode']>) => Promise<Buffer>) => {
  const encoder = new H264Encoder(first);
  return { encode: (...args: Parameters<H264Encoder['encode']>) => encode(encoder, ...args), [Symbol.dispose]: () => { encoder[Symbol.dispose](); } };
};

test('[DIS-4] [EXT-8] libx264 encodes as a device has to', async () => {
  await expect(probeEncoder((first) => new H264Encoder(first))).resolves.toBeUndefined();
});

test.each([
  ['gives no random access picture', /no random access picture when it is asked/, (encoder: H264Encoder, picture: Frame, pts: number) => encoder.encode(picture, [], pts, pts === 0)],
  ['gives them all the time', /nobody asked for/, (encoder: H264Encoder, picture: Frame, pts: number) => encoder.encode(picture, [], pts, true)],
  ['leaves out parameter sets', /no parameter sets/, async (encoder: H264Encoder, picture: Frame, pts: number, randomAccess: boolean) => {
    const unit = await encoder.encode(picture, [], pts, randomAccess);
    return toAvcc(avccNals(unit).filter((nal) => nalType(nal) !== NalType.sps));
  }],
  ['encodes something else', /not what it is given/, (encoder: H264Encoder, picture: Frame, pts: number, randomAccess: boolean) => {
    const other = picture.clone()!;
    other.makeWritable();
    for (const plane of other.data ?? []) plane.fill(128);
    return encoder.encode(other, [], pts, randomAccess).finally(() => { other.free(); });
  }],
  ['fails', /device lost/, () => Promise.reject(new Error('device lost'))],
] as const)('[DIS-4] [EXT-8] an encoder that %s is not trusted', async (_what, why, encode) => {
  await expect(probeEncoder((first) => spoiled(first, (encoder, picture, _boxes, pts, randomAccess) => encode(encoder, picture, pts, randomAccess)))).rejects.toThrow(why);
});

test('[EXT-8] FFmpeg knows every setting of the encoders of devices', () => {
  for (const kind of [SOFTWARE_ENCODER, ...Object.values(DEVICE_ENCODERS)]) {
    if (!kind) continue;
    const codec = Codec.findEncoderByName(kind.name);
    if (!codec) continue; // of another operating system
    using context = new CodecContext();
    context.allocContext3(codec);
    for (const [name, value] of Object.entries(kind.options)) expect(() => { FFmpegError.throwIfError(context.setOption(name, value), name); }, `${String(kind.name)} ${name}`).not.toThrow();
    expect(codec.pixelFormats).toContain(kind.deviceFormat ?? kind.pixels);
  }
  if (process.platform === 'linux') for (const name of ['cuda', 'vaapi', 'qsv'] as const) expect(Codec.findEncoderByName(DEVICE_ENCODERS[name]!.name)).not.toBeNull();
});
