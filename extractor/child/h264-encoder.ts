import { AVCOL_RANGE_JPEG, AV_PICTURE_TYPE_I, AV_PICTURE_TYPE_NONE, AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVJ420P } from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, Frame, HardwareFramesContext, Packet, Rational } from 'node-av/lib';
import { annexBNals, toAvcc } from '../../core/codec/h264/nal.ts';
import type { DrawnBox } from '../../core/drawing/drawn-box.ts';
import type { MediaTicks } from '../../core/units.ts';
import { pictureSize } from '../picture-size.ts';
import { DEVICE_ENCODERS, SOFTWARE_ENCODER } from './encoder-kinds.ts';
import type { EncoderKind } from './encoder-kinds.ts';
import type { HardwareDevice } from './hardware-device.ts';
import { PictureScaler } from './picture-scaler.ts';

const CLOCK_RATE = 90_000;
/** No scene takes more than so many bits a pixel and second, 4 Mbit/s for 720p: what is sent to viewers does not burst. */
const MAX_BITS_PER_PIXEL = 4.5;
/** Random access pictures are asked for; the encoder makes none of its own. */
const NO_GOP = 1 << 20;
/** For the level, and for the rate until pictures' times tell. */
const NOMINAL_FPS = 30;
/** Between two pictures whose times say nothing: a new epoch. */
const NOMINAL_STEP: MediaTicks = CLOCK_RATE / NOMINAL_FPS;

const even = (side: number): number => Math.max(2, side - (side % 2));
/** A picture's size as it is encoded: of so many lines at most (null: of its own), and of even sides. */
const encodedSize = (picture: Frame, maxHeight: number | null): { readonly width: number; readonly height: number } => {
  const { width, height } = pictureSize(picture.width, picture.height, { width: null, height: maxHeight });
  return { width: even(width), height: even(height) };
};
const set = (context: CodecContext, name: string, value: string | number): void => { FFmpegError.throwIfError(context.setOption(name, value), name); };

const framesOn = (device: HardwareDevice, layout: Pick<HardwareFramesContext, 'format' | 'swFormat' | 'width' | 'height'>): HardwareFramesContext => {
  const frames = new HardwareFramesContext();
  frames.alloc(device.context);
  frames.format = layout.format;
  frames.swFormat = layout.swFormat;
  frames.width = layout.width;
  frames.height = layout.height;
  FFmpegError.throwIfError(frames.init(), 'memory of the device');
  return frames;
};

/** What a picture's encoder depends on. */
const kindOf = (picture: Frame): string => [picture.width, picture.height, picture.format, picture.colorSpace, picture.colorRange].join(' ');

const kindOn = (device: HardwareDevice | null): EncoderKind => {
  if (!device) return SOFTWARE_ENCODER;
  const kind = DEVICE_ENCODERS[device.type];
  if (!kind) throw new Error(`video is not encoded on ${device.name}`);
  return kind;
};

/**
 * H.264 for live viewers, by libx264 or on a device: Constrained Baseline, which every browser decodes, no B-frames, a picture out for each picture in. Boxes are
 * drawn into a copy of the picture. It works on another thread, one picture at a time.
 */
export class H264Encoder implements Disposable {
  readonly #kind: string;
  readonly #context = new CodecContext();
  readonly #packet = new Packet();
  readonly #input = new Frame();
  readonly #scaler: PictureScaler;
  /** Other pixels, where the encoder takes no planes; null: it does. */
  readonly #packer: PictureScaler | null;
  /** Memory of the device, where the encoder takes pictures from there. */
  readonly #frames: HardwareFramesContext | null;
  #count = 0;
  #pts = 0n;
  #before: MediaTicks | null = null;
  #busy = false;
  #disposed = false;

  /** For pictures like `first`, of even sides, and of so many lines at most (null: of their own). Throws when FFmpeg has no such encoder, the device is lost, or it refuses the size. */
  constructor(first: Frame, device: HardwareDevice | null = null, maxHeight: number | null = null) {
    const kind = kindOn(device);
    const codec = Codec.findEncoderByName(kind.name);
    if (!codec) throw new Error(`FFmpeg was built without the encoder ${String(kind.name)}`);
    this.#kind = kindOf(first);
    const { width, height } = encodedSize(first, maxHeight);
    const range = first.format === AV_PIX_FMT_YUVJ420P ? AVCOL_RANGE_JPEG : first.colorRange;
    this.#scaler = new PictureScaler(width, height, { format: AV_PIX_FMT_YUV420P, space: first.colorSpace, range });
    this.#packer = kind.pixels === AV_PIX_FMT_YUV420P ? null : new PictureScaler(width, height, { format: kind.pixels, space: first.colorSpace, range });
    const context = this.#context;
    context.allocContext3(codec);
    context.width = width;
    context.height = height;
    context.pixelFormat = kind.deviceFormat ?? kind.pixels;
    context.colorRange = range;
    context.colorSpace = first.colorSpace;
    context.colorPrimaries = first.colorPrimaries;
    context.colorTrc = first.colorTrc;
    context.timeBase = new Rational(1, CLOCK_RATE);
    context.framerate = new Rational(NOMINAL_FPS, 1); // else libx264 takes the clock for it, and claims a level few decoders take
    context.gopSize = NO_GOP;
    context.maxBFrames = 0;
    context.threadCount = 1;
    context.profile = kind.profile;
    const maxBitrate = Math.round(width * height * MAX_BITS_PER_PIXEL);
    context.rcMaxRate = BigInt(maxBitrate);
    context.rcBufferSize = maxBitrate;
    if (kind.aims) context.bitRate = BigInt(Math.round(maxBitrate / 2));
    // Not by a Dictionary: node-av frees again what FFmpeg has freed.
    for (const [name, value] of Object.entries(kind.options)) set(context, name, value);
    if (device) context.hwDeviceCtx = device.context;
    this.#frames = device && kind.deviceFormat !== null ? framesOn(device, { format: kind.deviceFormat, swFormat: kind.pixels, width, height }) : null;
    if (this.#frames) context.hwFramesCtx = this.#frames;
    FFmpegError.throwIfError(context.open2Sync(codec, null), 'opening the encoder');
    this.#packet.alloc();
    this.#input.alloc();
  }

  /** Whether it encodes pictures like this one, at this size. */
  takes(picture: Frame, maxHeight: number | null = null): boolean {
    const { width, height } = encodedSize(picture, maxHeight);
    return kindOf(picture) === this.#kind && width === this.#context.width && height === this.#context.height;
  }

  /**
   * The access unit of a picture that it `takes`, NAL units behind their lengths; with parameter sets where it is random access. `picture` is read at once, `pts` in
   * ticks of 90 kHz. Not while it is at work. Rejects when FFmpeg fails: it is of no use then.
   */
  async encode(picture: Frame, boxes: readonly DrawnBox[], pts: MediaTicks, randomAccess: boolean): Promise<Buffer> {
    this.#busy = true;
    try {
      const input = this.#input;
      this.#fill(input, this.#scaler.scale(picture, this.#count, boxes));
      input.pts = this.#next(pts);
      input.pictType = randomAccess ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
      FFmpegError.throwIfError(await this.#context.sendFrame(input), 'encoding a picture');
      FFmpegError.throwIfError(await this.#context.receivePacket(this.#packet), 'encoding a picture');
      if (!this.#packet.data) throw new Error('an encoder without output');
      return toAvcc(annexBNals(this.#packet.data));
    } finally {
      this.#busy = false;
      if (this.#disposed) this.#free();
      else {
        this.#input.unref();
        this.#packet.unref();
      }
    }
  }

  /** `drawn` as the encoder takes it, in memory or on its device. */
  #fill(input: Frame, drawn: Frame): void {
    const packed = this.#packer?.scale(drawn, this.#count) ?? drawn;
    this.#count++;
    if (!this.#frames) {
      FFmpegError.throwIfError(input.ref(packed), 'holding a picture');
      return;
    }
    FFmpegError.throwIfError(this.#frames.getBuffer(input), 'memory of the device');
    FFmpegError.throwIfError(this.#frames.transferDataSync(input, packed), 'bringing a picture to the device');
    FFmpegError.throwIfError(input.copyProps(packed), 'copying what is known of a picture');
  }

  /** What is being encoded is finished first. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (!this.#busy) this.#free();
  }

  /** Its own time: it goes on where a new epoch begins anew. */
  #next(pts: MediaTicks): bigint {
    const step = this.#before === null ? 0 : pts > this.#before && pts - this.#before < CLOCK_RATE ? pts - this.#before : NOMINAL_STEP;
    this.#before = pts;
    return this.#pts += BigInt(Math.max(this.#pts === 0n ? 0 : 1, Math.round(step)));
  }

  #free(): void {
    this.#input.free();
    this.#packet.free();
    this.#context.freeContext();
    this.#frames?.free();
    this.#packer?.[Symbol.dispose]();
    this.#scaler[Symbol.dispose]();
  }
}
