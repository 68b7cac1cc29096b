import { AVERROR_EAGAIN, AVERROR_EOF, AV_CODEC_ID_AV1, AV_CODEC_ID_H264, AV_CODEC_ID_HEVC, AV_CODEC_ID_VP8, AV_CODEC_ID_VP9 } from 'node-av/constants';
import type { AVCodecID } from 'node-av/constants';
import { Codec, CodecContext, Frame, FFmpegError, Packet } from 'node-av/lib';
import { MediaError } from '../../core/errors.ts';
import type { CodecName } from '../hardware/hardware-choice.ts';
import type { CodecMessage } from '../protocol.ts';
import { parameterSets, toAnnexB } from './annex-b.ts';
import type { NalCodec } from './annex-b.ts';
import type { DeviceDecoder, HardwareDevice } from './hardware-device.ts';

/** A decoded picture and the number its access unit was sent in with. The frame is valid only during the call, and in this machine's memory. */
export type OnFrame = (frame: Frame, index: number) => void;

/** Access units in, pictures out. */
export interface PictureDecoder extends Disposable {
  /**
   * Takes one access unit; `data` may be changed. `index` ≥ 0 comes back with its picture, which a stream with B-frames gives later.
   * Throws INVALID_ARGUMENT when it cannot be decoded: `reset` and go on at a random access unit.
   */
  decode(data: Buffer, index: number, randomAccess: boolean, onFrame: OnFrame): void;
  /** Gives out the pictures held back; what comes next begins at a random access unit. Throws as `decode`. */
  drain(onFrame: OnFrame): void;
  /** Forgets all pictures: what comes next does not continue what came before. */
  reset(): void;
}

const CODEC_IDS: Readonly<Record<CodecName, AVCodecID>> = { h264: AV_CODEC_ID_H264, h265: AV_CODEC_ID_HEVC, vp8: AV_CODEC_ID_VP8, vp9: AV_CODEC_ID_VP9, av1: AV_CODEC_ID_AV1 };

interface ParameterSets {
  readonly codec: NalCodec;
  /** As Annex B. */
  readonly bytes: Buffer;
}

/** Null: the codec's access units are no NAL units. */
const parameterSetsOf = (codec: CodecMessage): ParameterSets | null => {
  switch (codec.codec) {
    case 'h264': return { codec: 'h264', bytes: parameterSets(codec.sps, codec.pps) };
    case 'h265': return { codec: 'h265', bytes: parameterSets(codec.vps, codec.sps, codec.pps) };
    default: return null;
  }
};

/**
 * One FFmpeg decoder: one thread (frame threads would add a picture of delay each), synchronous (a thread hop per packet costs more than it gives), in software
 * or on a device, whose pictures are brought back into memory. Pictures come out in order of presentation, each with the index of its own access unit.
 */
export class Decoder implements PictureDecoder {
  readonly #context = new CodecContext();
  readonly #packet = new Packet();
  readonly #frame = new Frame();
  readonly #codec: CodecName;
  readonly #parameterSets: ParameterSets | null;
  readonly #device: DeviceDecoder | null;
  /** What comes from the device. */
  readonly #fetched: Frame | null;

  /** Throws when FFmpeg, or the device, has no such decoder or it does not open. */
  constructor(codec: CodecMessage, device: HardwareDevice | null = null) {
    this.#codec = codec.codec;
    this.#parameterSets = parameterSetsOf(codec);
    const id = CODEC_IDS[codec.codec];
    this.#device = device?.decoder(id) ?? null;
    const found = this.#device?.codec ?? Codec.findDecoder(id);
    if (!found || (device && !this.#device)) throw new Error(`${device?.name ?? 'FFmpeg'} has no ${codec.codec} decoder`);
    this.#context.allocContext3(found);
    this.#context.threadCount = 1;
    this.#device?.prepare(this.#context);
    FFmpegError.throwIfError(this.#context.open2Sync(found, null), 'opening the decoder');
    this.#packet.alloc();
    this.#frame.alloc();
    this.#fetched = this.#device && new Frame();
    this.#fetched?.alloc();
  }

  decode(data: Buffer, index: number, randomAccess: boolean, onFrame: OnFrame): void {
    let bytes = data;
    if (this.#parameterSets) {
      const { hasParameterSets } = toAnnexB(data, this.#parameterSets.codec);
      if (randomAccess && !hasParameterSets) bytes = Buffer.concat([this.#parameterSets.bytes, data]);
    }
    this.#packet.data = bytes; // FFmpeg copies it, with the padding its bit readers need
    this.#packet.pts = BigInt(index);
    const sent = this.#context.sendPacketSync(this.#packet);
    this.#packet.unref();
    if (sent < 0) throw this.#refusal(sent);
    this.#receive(onFrame);
  }

  drain(onFrame: OnFrame): void {
    if (this.#context.sendPacketSync(null) >= 0) this.#receive(onFrame);
    this.reset();
  }

  #receive(onFrame: OnFrame): void {
    for (;;) {
      const received = this.#context.receiveFrameSync(this.#frame);
      if (received < 0) {
        // Software says at the packet what is wrong with it; a device may say so only here.
        if (this.#device && received !== AVERROR_EAGAIN && received !== AVERROR_EOF) throw this.#refusal(received);
        return;
      }
      try {
        if (this.#frame.decodeErrorFlags !== 0) throw new MediaError('INVALID_ARGUMENT', `${this.#codec} decoder: damaged picture`);
        onFrame(this.#inMemory(), Number(this.#frame.pts));
      } finally {
        this.#frame.unref();
        this.#fetched?.unref();
      }
    }
  }

  #inMemory(): Frame {
    if (!this.#device || !this.#fetched) return this.#frame;
    this.#device.fetch(this.#frame, this.#fetched);
    return this.#fetched;
  }

  #refusal(code: number): MediaError {
    return new MediaError('INVALID_ARGUMENT', `${this.#codec} decoder: ${new FFmpegError(code).message}`);
  }

  reset(): void {
    this.#context.flushBuffers();
  }

  [Symbol.dispose](): void {
    this.#fetched?.free();
    this.#frame.free();
    this.#packet.free();
    this.#context.freeContext();
  }
}
