import { AV_CODEC_ID_H264 } from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, Frame, Packet } from 'node-av/lib';

/** Decodes H.264 of length-prefixed NAL units, picture after picture, with what was said of each. */
export class PictureStreamDecoder<T> implements Disposable {
  readonly #context = new CodecContext();
  readonly #packet = new Packet();
  readonly #frame = new Frame();
  readonly #onFrame: (frame: Frame, said: T) => void;
  /** Of pictures that have not come out yet, by the number they went in with. */
  readonly #said = new Map<number, T>();
  #next = 0;

  /** `onFrame`: in order of presentation; the frame is valid only during the call. Throws when FFmpeg has no H.264 decoder or it does not open. */
  constructor(decoderConfig: Buffer, onFrame: (frame: Frame, said: T) => void) {
    this.#onFrame = onFrame;
    const codec = Codec.findDecoder(AV_CODEC_ID_H264);
    if (!codec) throw new Error('FFmpeg has no H.264 decoder');
    this.#context.allocContext3(codec);
    this.#context.extraData = decoderConfig;
    this.#context.threadCount = 1;
    FFmpegError.throwIfError(this.#context.open2Sync(codec, null), 'opening the decoder');
    this.#packet.alloc();
    this.#frame.alloc();
  }

  /** Takes one access unit. One that cannot be decoded gives no picture. Throws what `onFrame` does. */
  decode(unit: Buffer, said: T): void {
    const index = this.#next++;
    this.#said.set(index, said);
    this.#said.delete(index - MAX_HELD);
    this.#packet.data = unit; // FFmpeg copies it, with the padding its bit readers need
    this.#packet.pts = BigInt(index);
    this.#context.sendPacketSync(this.#packet);
    this.#packet.unref();
    this.#receive();
  }

  /** Gives out the pictures held back; nothing can be decoded any more. Throws what `onFrame` does. */
  finish(): void {
    this.#context.sendPacketSync(null);
    this.#receive();
  }

  #receive(): void {
    while (this.#context.receiveFrameSync(this.#frame) >= 0) {
      try {
        const index = Number(this.#frame.pts);
        const said = this.#said.get(index);
        this.#said.delete(index);
        if (said !== undefined) this.#onFrame(this.#frame, said);
      } finally {
        this.#frame.unref();
      }
    }
  }

  [Symbol.dispose](): void {
    this.#frame.free();
    this.#packet.free();
    this.#context.freeContext();
  }
}

/** H.264 reorders within 16 pictures at most (§A.3.1, MaxDpbFrames), and damaged ones never come out. */
const MAX_HELD = 64;
