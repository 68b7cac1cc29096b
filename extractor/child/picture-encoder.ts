import { AVCOL_RANGE_JPEG, AVCOL_RANGE_MPEG, AVCOL_RANGE_UNSPECIFIED, AVCOL_SPC_BT470BG, AVCOL_SPC_RGB, AV_CODEC_FLAG_QSCALE, AV_CODEC_ID_MJPEG, AV_CODEC_ID_PNG, AV_PIX_FMT_RGB24, AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVJ420P, FF_ENCODER_LIBWEBP, FF_QP2LAMBDA } from 'node-av/constants';
import type { AVColorRange, AVColorSpace, AVPixelFormat } from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, Frame, Packet, Rational } from 'node-av/lib';
import type { PictureFormat } from '../port.ts';
import type { SlowLane } from './slow-lane.ts';

/** The pixels an encoder wants: JPEG has the full range, WebP that of video, both the colour matrix of BT.601, which they are read with. */
export interface PixelLayout {
  readonly format: AVPixelFormat;
  readonly space: AVColorSpace;
  readonly range: AVColorRange;
}

const LAYOUTS: Readonly<Record<PictureFormat, PixelLayout>> = {
  jpeg: { format: AV_PIX_FMT_YUVJ420P, space: AVCOL_SPC_BT470BG, range: AVCOL_RANGE_JPEG },
  png: { format: AV_PIX_FMT_RGB24, space: AVCOL_SPC_RGB, range: AVCOL_RANGE_UNSPECIFIED },
  webp: { format: AV_PIX_FMT_YUV420P, space: AVCOL_SPC_BT470BG, range: AVCOL_RANGE_MPEG },
};

export const layoutOf = (format: PictureFormat): PixelLayout => LAYOUTS[format];

/** zlib's level for PNG, libwebp's method for WebP: half the time of their usual ones, and 4 to 8 % more bytes. */
const COMPRESSION = '2';

/** MPEG quantisers FFmpeg's JPEG encoder takes. */
const FINEST = 2;
const COARSEST = 31;
/** FFmpeg's matrix at quantiser 8 is on average as coarse as 0.57 of the one libjpeg begins with. */
const QUANTISER_PER_PERCENT = 0.14;

/** The quantiser at which FFmpeg's JPEG is about as coarse as libjpeg's of that quality (1..100). */
export const jpegQuantiser = (quality: number): number => {
  const percent = quality < 50 ? 5000 / quality : 200 - 2 * quality; // libjpeg's jpeg_quality_scaling
  return Math.min(COARSEST, Math.max(FINEST, Math.round(percent * QUANTISER_PER_PERCENT)));
};

/**
 * Encodes pictures of one size as one format and quality, each by itself, one at a time. It works on another thread: a PNG or WebP of 720p takes 30 ms or more,
 * in which results of detectors must not wait.
 */
export class PictureEncoder implements Disposable {
  readonly #context = new CodecContext();
  readonly #packet = new Packet();
  readonly #input = new Frame();
  readonly #lambda: number | null;
  /** Null for JPEG, which takes a few milliseconds. */
  readonly #lane: SlowLane | null;
  #count = 0n;
  #busy = false;
  #disposed = false;

  /** Throws when FFmpeg has no such encoder, or it refuses the size. */
  constructor(format: PictureFormat, width: number, height: number, quality: number, lane: SlowLane) {
    const codec = format === 'jpeg' ? Codec.findEncoder(AV_CODEC_ID_MJPEG) : format === 'png' ? Codec.findEncoder(AV_CODEC_ID_PNG) : Codec.findEncoderByName(FF_ENCODER_LIBWEBP);
    if (!codec) throw new Error(`FFmpeg has no ${format} encoder`);
    this.#lane = format === 'jpeg' ? null : lane;
    const layout = LAYOUTS[format];
    this.#lambda = format === 'png' ? null : (format === 'jpeg' ? jpegQuantiser(quality) : quality) * FF_QP2LAMBDA;
    this.#context.allocContext3(codec);
    this.#context.width = width;
    this.#context.height = height;
    this.#context.pixelFormat = layout.format;
    this.#context.colorRange = layout.range;
    this.#context.timeBase = new Rational(1, 25);
    this.#context.threadCount = 1;
    if (this.#lambda !== null) {
      this.#context.setFlags(AV_CODEC_FLAG_QSCALE);
      this.#context.globalQuality = this.#lambda;
    }
    if (format !== 'jpeg' && this.#context.setOption('compression_level', COMPRESSION) < 0) throw new Error('FFmpeg does not know compression_level');
    FFmpegError.throwIfError(this.#context.open2Sync(codec, null), 'opening an encoder');
    this.#packet.alloc();
    this.#input.alloc();
  }

  /** Encodes a picture in the encoder's layout and size, which is held for as long. One at a time. Rejects when FFmpeg fails. */
  async encode(picture: Frame): Promise<Buffer> {
    this.#busy = true;
    try {
      FFmpegError.throwIfError(this.#input.ref(picture), 'holding a picture'); // a frame of its own: the quality is written into it
      this.#input.pts = this.#count++; // the encoder refuses a time twice
      if (this.#lambda !== null) this.#input.quality = this.#lambda;
      return await (this.#lane ? this.#lane.run(this.#work) : this.#work());
    } finally {
      this.#busy = false;
      if (this.#disposed) this.#free();
      else {
        this.#input.unref();
        this.#packet.unref();
      }
    }
  }

  readonly #work = async (): Promise<Buffer> => {
    if (this.#disposed) throw new Error('nobody wants it any more');
    FFmpegError.throwIfError(await this.#context.sendFrame(this.#input), 'encoding a picture');
    FFmpegError.throwIfError(await this.#context.receivePacket(this.#packet), 'encoding a picture');
    if (!this.#packet.data) throw new Error('an encoder without output');
    return Buffer.from(this.#packet.data);
  };

  /** What is being encoded is finished first. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (!this.#busy) this.#free();
  }

  #free(): void {
    this.#input.free();
    this.#packet.free();
    this.#context.freeContext();
  }
}
