import { AVCOL_RANGE_JPEG, AV_PICTURE_TYPE_I, AV_PICTURE_TYPE_NONE, AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVJ420P, AV_PROFILE_H264_BASELINE, FF_ENCODER_LIBX264 } from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, Frame, Packet, Rational } from 'node-av/lib';
import { annexBNals, toAvcc } from '../../core/codec/h264/nal.ts';
import type { DrawnBox } from '../../core/drawing/drawn-box.ts';
import type { MediaTicks } from '../../core/units.ts';
import { PictureScaler } from './picture-scaler.ts';

const CLOCK_RATE = 90_000;
/** About what cameras send; what is drawn in has sharp edges. */
const QUALITY = 23;
/** No scene takes more than so many bits a pixel and second, 4 Mbit/s for 720p: what is sent to viewers does not burst. */
const MAX_BITS_PER_PIXEL = 4.5;
/** Random access pictures are asked for; the encoder makes none of its own. */
const NO_GOP = 1 << 20;
/** For the level, and for the rate until pictures' times tell. */
const NOMINAL_FPS = 30;
/** Between two pictures whose times say nothing: a new epoch. */
const NOMINAL_STEP: MediaTicks = CLOCK_RATE / NOMINAL_FPS;

const even = (side: number): number => Math.max(2, side - (side % 2));
const set = (context: CodecContext, name: string, value: string | number): void => { FFmpegError.throwIfError(context.setOption(name, value), name); };

/** What a picture's encoder depends on. */
const kindOf = (picture: Frame): string => [picture.width, picture.height, picture.format, picture.colorSpace, picture.colorRange].join(' ');

/**
 * H.264 by libx264 for live viewers: Constrained Baseline, which every browser decodes, no B-frames, a picture out for each picture in. Boxes are drawn into a
 * copy of the picture. It works on another thread, one picture at a time.
 */
export class H264Encoder implements Disposable {
  readonly #kind: string;
  readonly #context = new CodecContext();
  readonly #packet = new Packet();
  readonly #input = new Frame();
  readonly #scaler: PictureScaler;
  #count = 0;
  #pts = 0n;
  #before: MediaTicks | null = null;
  #busy = false;
  #disposed = false;

  /** For pictures like `first`, of even sides. Throws when FFmpeg has no libx264, or it refuses the size. */
  constructor(first: Frame) {
    const codec = Codec.findEncoderByName(FF_ENCODER_LIBX264);
    if (!codec) throw new Error('FFmpeg has no libx264');
    this.#kind = kindOf(first);
    const [width, height] = [even(first.width), even(first.height)];
    const range = first.format === AV_PIX_FMT_YUVJ420P ? AVCOL_RANGE_JPEG : first.colorRange;
    this.#scaler = new PictureScaler(width, height, { format: AV_PIX_FMT_YUV420P, space: first.colorSpace, range });
    const context = this.#context;
    context.allocContext3(codec);
    context.width = width;
    context.height = height;
    context.pixelFormat = AV_PIX_FMT_YUV420P;
    context.colorRange = range;
    context.colorSpace = first.colorSpace;
    context.colorPrimaries = first.colorPrimaries;
    context.colorTrc = first.colorTrc;
    context.timeBase = new Rational(1, CLOCK_RATE);
    context.framerate = new Rational(NOMINAL_FPS, 1); // else libx264 takes the clock for it, and claims a level few decoders take
    context.gopSize = NO_GOP;
    context.maxBFrames = 0;
    context.threadCount = 1;
    context.profile = AV_PROFILE_H264_BASELINE;
    const maxBitrate = Math.round(width * height * MAX_BITS_PER_PIXEL);
    context.rcMaxRate = BigInt(maxBitrate);
    context.rcBufferSize = maxBitrate;
    // Not by a Dictionary: node-av frees again what FFmpeg has freed.
    set(context, 'preset', 'superfast');
    set(context, 'tune', 'zerolatency');
    set(context, 'crf', QUALITY);
    set(context, 'forced-idr', 1);
    set(context, 'sc_threshold', 0);
    FFmpegError.throwIfError(context.open2Sync(codec, null), 'opening the encoder');
    this.#packet.alloc();
    this.#input.alloc();
  }

  /** Whether it encodes pictures like this one. */
  takes(picture: Frame): boolean {
    return kindOf(picture) === this.#kind;
  }

  /**
   * The access unit of a picture that it `takes`, NAL units behind their lengths; with parameter sets where it is random access. `picture` is read at once, `pts` in
   * ticks of 90 kHz. Not while it is at work. Rejects when FFmpeg fails: it is of no use then.
   */
  async encode(picture: Frame, boxes: readonly DrawnBox[], pts: MediaTicks, randomAccess: boolean): Promise<Buffer> {
    this.#busy = true;
    try {
      const input = this.#input;
      FFmpegError.throwIfError(input.ref(this.#scaler.scale(picture, this.#count++, boxes)), 'holding a picture');
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
    this.#scaler[Symbol.dispose]();
  }
}
