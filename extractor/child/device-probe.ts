import { AV_PIX_FMT_YUV420P } from 'node-av/constants';
import { FFmpegError, Frame, SoftwareScaleContext } from 'node-av/lib';
import { NalType, avccNals, nalType } from '../../core/codec/h264/nal.ts';
import { h264Track } from '../../core/codec/h264/track.ts';
import { messageOf } from '../../core/errors.ts';
import { CODECS } from '../hardware/hardware-choice.ts';
import type { CodecName, HardwareDeviceSpec, ProbeVerdict } from '../hardware/hardware-choice.ts';
import type { CodecMessage } from '../protocol.ts';
import { Decoder } from './decoder.ts';
import type { PictureDecoder } from './decoder.ts';
import { H264Encoder } from './h264-encoder.ts';
import { HardwareDevice } from './hardware-device.ts';
import { PROBE_PICTURES } from './probe-pictures.ts';

/** How far a device's picture may be from software's: decoding is exact by every one of these standards, but some drivers dither or sharpen what they give out. */
const LEAST_PSNR_DB = 40;
/** Encoding loses something; garbage has less than 12. */
const LEAST_ENCODED_PSNR_DB = 20;
const ENCODED_PICTURES = 6;
/** Of these, the one that is asked to be random access, beside the first. */
const ASKED_FOR = 3;
const TICKS_PER_PICTURE = 3000;

interface Yuv {
  readonly width: number;
  readonly height: number;
  readonly bytes: Buffer;
}

/** The built-in key frame as this decoder shows it, in planes of 4:2:0. Throws when it shows none. */
const decoded = (codec: CodecName, decoder: PictureDecoder): Yuv => {
  const shown: Yuv[] = [];
  const onFrame = (frame: Frame): void => { shown.push(yuvOf(frame)); };
  decoder.decode(Buffer.from(PROBE_PICTURES[codec].data, 'base64'), 0, true, onFrame);
  decoder.drain(onFrame);
  const [first] = shown;
  if (!first) throw new Error('it shows no picture');
  return first;
};

const yuvOf = (frame: Frame): Yuv => {
  using scaler = new SoftwareScaleContext();
  using planar = new Frame();
  scaler.allocContext();
  planar.alloc();
  planar.width = frame.width;
  planar.height = frame.height;
  planar.format = AV_PIX_FMT_YUV420P;
  planar.colorRange = frame.colorRange;
  planar.chromaLocation = frame.chromaLocation;
  planar.colorSpace = frame.colorSpace;
  FFmpegError.throwIfError(planar.getBuffer(0), 'memory for a picture');
  FFmpegError.throwIfError(scaler.scaleFrameSync(planar, frame), 'reading a picture');
  return { width: frame.width, height: frame.height, bytes: planar.toBuffer() };
};

/** Decibels between two pictures; Infinity: the same. Throws when they are of different sizes. */
const psnr = (a: Yuv, b: Yuv): number => {
  if (a.width !== b.width || a.height !== b.height || a.bytes.length !== b.bytes.length) throw new Error(`its picture has ${String(b.width)}x${String(b.height)} pixels instead of ${String(a.width)}x${String(a.height)}`);
  let squares = 0;
  for (const [i, value] of a.bytes.entries()) squares += (value - (b.bytes[i] ?? 0)) ** 2;
  return 10 * Math.log10((255 * 255 * a.bytes.length) / squares);
};

/** Shows a decoder the built-in key frame of a codec. Throws, with the reason, unless its picture is software's. */
export const probeDecoder = (codec: CodecName, open: (message: CodecMessage) => PictureDecoder): void => {
  const { message } = PROBE_PICTURES[codec];
  using software = new Decoder(message);
  using decoder = open(message);
  const decibels = psnr(decoded(codec, software), decoded(codec, decoder));
  if (!(decibels >= LEAST_PSNR_DB)) throw new Error(`its picture is not what is encoded (PSNR ${decibels.toFixed(1)} dB)`);
};

/**
 * Has an encoder encode the built-in picture as it will have to live. Rejects, with the reason, unless each picture gives its access unit at once, random access with
 * parameter sets where it is asked for and nowhere else, without reordering, and shows what was encoded.
 */
export const probeEncoder = async (open: (first: Frame) => Pick<H264Encoder, 'encode' | typeof Symbol.dispose>): Promise<void> => {
  using picture = heldPicture();
  const shown = yuvOf(picture);
  using encoder = open(picture);
  let decoder: Decoder | null = null;
  try {
    for (let i = 0; i < ENCODED_PICTURES; i++) {
      const randomAccess = i % ASKED_FOR === 0;
      const unit = await encoder.encode(picture, [], i * TICKS_PER_PICTURE, randomAccess);
      const nals = avccNals(unit);
      const nal = (type: number): Buffer | undefined => nals.find((one) => nalType(one) === type);
      if ((nal(NalType.idr) !== undefined) !== randomAccess) throw new Error(randomAccess ? 'it gives no random access picture when it is asked for one' : 'it gives random access pictures nobody asked for');
      const [sps, pps] = [nal(NalType.sps), nal(NalType.pps)];
      if (randomAccess) {
        if (!sps || !pps) throw new Error('its random access pictures have no parameter sets');
        if (h264Track(sps, pps).reorderDepth !== 0) throw new Error('it reorders pictures');
        decoder ??= new Decoder({ codec: 'h264', sps: sps.toString('base64'), pps: pps.toString('base64') });
      }
      let decibels = Number.NaN;
      decoder?.decode(unit, i, randomAccess, (frame) => { decibels = psnr(shown, yuvOf(frame)); });
      if (!(decibels >= LEAST_ENCODED_PSNR_DB)) throw new Error(`what it encodes is not what it is given (PSNR ${decibels.toFixed(1)} dB)`);
    }
  } finally {
    decoder?.[Symbol.dispose]();
  }
};

/** The built-in picture, by software. */
const heldPicture = (): Frame => {
  using decoder = new Decoder(PROBE_PICTURES.h264.message);
  const held = new Frame();
  held.alloc();
  const onFrame = (frame: Frame): void => { FFmpegError.throwIfError(held.ref(frame), 'holding a picture'); };
  decoder.decode(Buffer.from(PROBE_PICTURES.h264.data, 'base64'), 0, true, onFrame);
  decoder.drain(onFrame);
  return held;
};

/** What a device can be trusted with. Never rejects; a driver may crash or hang the process. */
export const probeDevice = async (spec: HardwareDeviceSpec): Promise<ProbeVerdict> => {
  const failures: Record<string, string> = {};
  try {
    using device = new HardwareDevice(spec);
    const decode = CODECS.filter((codec) => {
      try {
        probeDecoder(codec, (message) => new Decoder(message, device));
        return true;
      } catch (error) {
        failures[codec] = messageOf(error);
        return false;
      }
    });
    const encode = await probeEncoder((first) => new H264Encoder(first, device)).then(() => true, (error: unknown) => {
      failures['encode'] = messageOf(error);
      return false;
    });
    return { decode, encode, failures };
  } catch (error) {
    return { decode: [], encode: false, failures: { device: messageOf(error) } };
  }
};
