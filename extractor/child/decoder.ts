import { AV_CODEC_ID_H264, AV_CODEC_ID_VP8 } from 'node-av/constants';
import { Codec, CodecContext, Frame, FFmpegError, Packet } from 'node-av/lib';
import { MediaError } from '../../core/errors.ts';
import type { CodecMessage } from '../protocol.ts';
import { parameterSets, toAnnexB } from './annex-b.ts';

/** A decoded picture and the number its access unit was sent in with. The frame is valid only during the call. */
export type OnFrame = (frame: Frame, index: number) => void;

/**
 * One FFmpeg decoder: software, one thread (frame threads would add a picture of delay each), synchronous (a thread hop per packet
 * costs more than it gives). Pictures come out in order of presentation, each with the index of its own access unit.
 */
export class Decoder implements Disposable {
  readonly #context = new CodecContext();
  readonly #packet = new Packet();
  readonly #frame = new Frame();
  readonly #codec: CodecMessage['codec'];
  /** H.264: SPS and PPS as Annex B. */
  readonly #parameterSets: Buffer | null;

  /** Throws when FFmpeg has no such decoder or it does not open. */
  constructor(codec: CodecMessage) {
    this.#codec = codec.codec;
    this.#parameterSets = codec.codec === 'h264' ? parameterSets(Buffer.from(codec.sps, 'base64'), Buffer.from(codec.pps, 'base64')) : null;
    const found = Codec.findDecoder(codec.codec === 'h264' ? AV_CODEC_ID_H264 : AV_CODEC_ID_VP8);
    if (!found) throw new Error(`FFmpeg has no ${codec.codec} decoder`);
    this.#context.allocContext3(found);
    this.#context.threadCount = 1;
    FFmpegError.throwIfError(this.#context.open2Sync(found, null), 'opening the decoder');
    this.#packet.alloc();
    this.#frame.alloc();
  }

  /**
   * Takes one access unit; `data` may be changed. `index` ≥ 0 comes back with its picture, which a stream with B-frames gives later.
   * Throws INVALID_ARGUMENT when it cannot be decoded: `reset` and go on at a random access unit.
   */
  decode(data: Buffer, index: number, randomAccess: boolean, onFrame: OnFrame): void {
    let bytes = data;
    if (this.#parameterSets) {
      const { hasParameterSets } = toAnnexB(data);
      if (randomAccess && !hasParameterSets) bytes = Buffer.concat([this.#parameterSets, data]);
    }
    this.#packet.data = bytes; // FFmpeg copies it, with the padding its bit readers need
    this.#packet.pts = BigInt(index);
    const sent = this.#context.sendPacketSync(this.#packet);
    this.#packet.unref();
    if (sent < 0) throw new MediaError('INVALID_ARGUMENT', `${this.#codec} decoder: ${new FFmpegError(sent).message}`);
    this.#receive(onFrame);
  }

  /** Gives out the pictures held back; what comes next begins at a random access unit. Throws as `decode`. */
  drain(onFrame: OnFrame): void {
    if (this.#context.sendPacketSync(null) >= 0) this.#receive(onFrame);
    this.reset();
  }

  #receive(onFrame: OnFrame): void {
    while (this.#context.receiveFrameSync(this.#frame) >= 0) {
      try {
        if (this.#frame.decodeErrorFlags !== 0) throw new MediaError('INVALID_ARGUMENT', `${this.#codec} decoder: damaged picture`);
        onFrame(this.#frame, Number(this.#frame.pts));
      } finally {
        this.#frame.unref();
      }
    }
  }

  /** Forgets all pictures: what comes next does not continue what came before. */
  reset(): void {
    this.#context.flushBuffers();
  }

  [Symbol.dispose](): void {
    this.#frame.free();
    this.#packet.free();
    this.#context.freeContext();
  }
}
