import { AV_PIX_FMT_YUV420P } from 'node-av/constants';
import { FFmpegError, Frame, SoftwareScaleContext } from 'node-av/lib';
import { messageOf } from '../../core/errors.ts';
import { CODECS } from '../hardware/hardware-choice.ts';
import type { CodecName, HardwareDeviceSpec, ProbeVerdict } from '../hardware/hardware-choice.ts';
import type { CodecMessage } from '../protocol.ts';
import { Decoder } from './decoder.ts';
import type { PictureDecoder } from './decoder.ts';
import { HardwareDevice } from './hardware-device.ts';
import { PROBE_PICTURES } from './probe-pictures.ts';

/** How far a device's picture may be from software's: decoding is exact by every one of these standards, but some drivers dither or sharpen what they give out. */
const LEAST_PSNR_DB = 40;

interface Yuv {
  readonly width: number;
  readonly height: number;
  readonly bytes: Buffer;
}

/** The built-in key frame as this decoder shows it, in planes of 4:2:0. Throws when it shows none. */
const decoded = (codec: CodecName, decoder: PictureDecoder): Yuv => {
  let shown: Yuv | null = null;
  const onFrame = (frame: Frame): void => { shown ??= yuvOf(frame); };
  decoder.decode(Buffer.from(PROBE_PICTURES[codec].data, 'base64'), 0, true, onFrame);
  decoder.drain(onFrame);
  if (!shown) throw new Error('it shows no picture');
  return shown;
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

/** What a device can be trusted with. Never throws; a driver may crash or hang the process. */
export const probeDevice = (spec: HardwareDeviceSpec): ProbeVerdict => {
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
    return { decode, encode: false, failures };
  } catch (error) {
    return { decode: [], encode: false, failures: { device: messageOf(error) } };
  }
};
