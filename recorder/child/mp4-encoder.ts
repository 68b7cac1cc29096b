import { availableParallelism } from 'node:os';
import { AVERROR_ENOSPC, AV_CODEC_FLAG_GLOBAL_HEADER, AV_PIX_FMT_YUV420P, AV_PKT_FLAG_KEY, FF_ENCODER_LIBX264 } from 'node-av/constants';
import type { AVColorPrimaries, AVColorRange, AVColorSpace, AVColorTransferCharacteristic } from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, FormatContext, Frame, Packet, Rational } from 'node-av/lib';
import type { Stream } from 'node-av/lib';

/** Ticks per second of the file. */
const CLOCK_RATE = 90_000;
/** Hardly told from the original; a fifth to a half of what cameras send. */
const QUALITY = 20;
/** Two seconds at 30 pictures: a player that seeks waits for no more. */
const GOP = 60;
const MAX_THREADS = 4;

/** How the pixels are to be read, as the first decoded picture says. */
export interface PictureColours {
  readonly colorRange: AVColorRange;
  readonly colorSpace: AVColorSpace;
  readonly colorPrimaries: AVColorPrimaries;
  readonly colorTrc: AVColorTransferCharacteristic;
}

/** The file may not become so large. */
export class TooLargeError extends Error {}

/** No room on the disk. */
export class DiskFullError extends Error {}

const set = (context: CodecContext | FormatContext, name: string, value: string | number): void => { FFmpegError.throwIfError(context.setOption(name, value), name); };

const check = (code: number, doing: string): void => {
  if (code === AVERROR_ENOSPC) throw new DiskFullError(doing);
  FFmpegError.throwIfError(code, doing);
};

/** H.264 by libx264 into an MP4 whose `moov` comes first, each picture at its own time; no B-frames, so the file needs no edit list. */
export class Mp4Encoder implements Disposable {
  readonly #context = new CodecContext();
  readonly #format = new FormatContext();
  readonly #encoded = new Packet();
  readonly #written = new Packet();
  readonly #frame = new Frame();
  readonly #stream: Stream;
  readonly #maxBytes: number;
  #held: { readonly pts: bigint; readonly data: Buffer; readonly key: boolean } | undefined;
  #last = -1n;
  #bytes = 0;
  #pictures = 0;

  /** Sides are even; `fps`: about so many pictures a second, for the level. Throws DiskFullError, and when the file cannot be made or FFmpeg lacks libx264. */
  constructor(path: string, size: { readonly width: number; readonly height: number }, colours: PictureColours, fps: number, maxBytes: number) {
    this.#maxBytes = maxBytes;
    const codec = Codec.findEncoderByName(FF_ENCODER_LIBX264);
    if (!codec) throw new Error('FFmpeg has no libx264');
    const context = this.#context;
    context.allocContext3(codec);
    context.width = size.width;
    context.height = size.height;
    context.pixelFormat = AV_PIX_FMT_YUV420P;
    context.timeBase = new Rational(1, CLOCK_RATE);
    context.framerate = new Rational(fps, 1); // else libx264 takes the clock for it, and claims a level few decoders take
    context.gopSize = GOP;
    context.maxBFrames = 0;
    context.threadCount = Math.min(MAX_THREADS, availableParallelism());
    Object.assign(context, colours);
    context.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER);
    // Not by a Dictionary: node-av frees again what FFmpeg has freed.
    set(context, 'preset', 'veryfast');
    set(context, 'crf', QUALITY);
    FFmpegError.throwIfError(context.open2Sync(codec, null), 'opening the encoder');
    this.#encoded.alloc();
    this.#written.alloc();
    this.#frame.alloc();
    this.#frame.width = size.width;
    this.#frame.height = size.height;
    this.#frame.format = AV_PIX_FMT_YUV420P;
    FFmpegError.throwIfError(this.#frame.getBuffer(0), 'memory for a picture');
    FFmpegError.throwIfError(this.#format.allocOutputContext2(null, 'mp4', path), 'an MP4 file');
    this.#stream = this.#format.newStream(null);
    this.#stream.timeBase = context.timeBase;
    FFmpegError.throwIfError(this.#stream.codecpar.fromContext(context), 'the track');
    set(this.#format, 'movflags', '+faststart');
    set(this.#format, 'video_track_timescale', CLOCK_RATE);
    check(this.#format.openOutputSync(), 'making the file');
    check(this.#format.writeHeaderSync(null), 'beginning the file');
  }

  get pictures(): number { return this.#pictures; }

  /** `picture`: planar 4:2:0 pixels of the file's size, one plane behind the other. `at`: milliseconds, growing. Throws DiskFullError, TooLargeError, and when FFmpeg does not encode. */
  encode(picture: Buffer, at: number): void {
    const pts = BigInt(Math.round((at * CLOCK_RATE) / 1000));
    this.#last = pts > this.#last ? pts : this.#last + 1n;
    check(this.#frame.makeWritable(), 'memory for a picture'); // the encoder may still hold the one before
    FFmpegError.throwIfError(this.#frame.fromBuffer(picture), 'filling a picture');
    this.#frame.pts = this.#last;
    check(this.#context.sendFrameSync(this.#frame), 'encoding a picture');
    this.#pictures++;
    this.#receive();
  }

  /**
   * `length`: milliseconds of the whole. The file is finished, for which it is written once more, its tables first; meanwhile this thread goes on.
   * Rejects as `encode` throws.
   */
  async finish(length: number): Promise<void> {
    this.#context.sendFrameSync(null);
    this.#receive();
    this.#write(BigInt(Math.round((length * CLOCK_RATE) / 1000)));
    check(await this.#format.writeTrailer(), 'ending the file');
    this.#format.closeOutputSync();
  }

  [Symbol.dispose](): void {
    this.#frame.free();
    this.#encoded.free();
    this.#written.free();
    this.#context.freeContext();
    this.#format.freeContext();
  }

  #receive(): void {
    const packet = this.#encoded;
    while (this.#context.receivePacketSync(packet) >= 0) {
      const next = { pts: packet.pts, data: Buffer.from(packet.data ?? []), key: (packet.flags & AV_PKT_FLAG_KEY) !== 0 };
      packet.unref();
      this.#write(next.pts);
      this.#held = next;
    }
  }

  /** Writes the picture held back, which lasts until `until`. */
  #write(until: bigint): void {
    const held = this.#held;
    if (held === undefined) return;
    this.#held = undefined;
    this.#bytes += held.data.length;
    if (this.#bytes > this.#maxBytes) throw new TooLargeError();
    const packet = this.#written;
    packet.data = held.data;
    packet.pts = packet.dts = held.pts;
    packet.duration = until > held.pts ? until - held.pts : 1n;
    packet.streamIndex = this.#stream.index;
    if (held.key) packet.setFlags(AV_PKT_FLAG_KEY);
    else packet.clearFlags(AV_PKT_FLAG_KEY);
    packet.rescaleTs(this.#context.timeBase, this.#stream.timeBase);
    check(this.#format.interleavedWriteFrameSync(packet), 'writing the file');
  }
}
