import { EncodedPacketSink, FilePathSource, Input, MP4, QTFF } from 'mediabunny';
import type { InputAudioTrack, InputVideoTrack } from 'mediabunny';
import { aacTrack } from '../../core/codec/aac/audio-specific-config.ts';
import { h264Track } from '../../core/codec/h264/track.ts';
import { MediaError } from '../../core/errors.ts';
import type { AudioTrack } from '../../core/track.ts';
import type { MediaTicks } from '../../core/units.ts';
import { DecodeTimes } from '../timeline/decode-times.ts';
import type { ParameterSets } from '../timeline/video-format.ts';

/** A file source's own RTP clock (D-8). */
export const VIDEO_RATE = 90_000;

/** One coded picture or audio frame of a clip. */
export interface ClipSample {
  readonly kind: 'video' | 'audio';
  readonly data: Buffer;
  readonly randomAccess: boolean;
  /** From the clip's beginning, in ticks of 90 kHz or of the audio's rate. Negative for audio before the first picture. */
  readonly pts: MediaTicks;
  /** Strictly increasing per track; a little negative where pictures are reordered. */
  readonly dts: MediaTicks;
  readonly duration: MediaTicks;
  /** When a camera would send it, ms from the clip's beginning: its decode time. */
  readonly due: number;
}

/** Why a file cannot be used, where it is not that it cannot be read. */
const WRONG_CODEC = 'CODEC_NOT_SUPPORTED';
const unusable = (message: string, cause?: unknown, reason = 'FILE_SOURCE'): MediaError => new MediaError('UNPROCESSABLE', message, { reason, cause });

/** An MP4 file with H.264 video and AAC, Opus or no audio, demultiplexed sample by sample; nothing is decoded. */
export class Mp4Clip implements Disposable {
  readonly parameterSets: ParameterSets;
  /** Null: the file has none, or none that can be carried. */
  readonly audio: AudioTrack | null;
  /** Length of the video, ticks of 90 kHz: what one round of the loop lasts. */
  readonly period: MediaTicks;
  readonly #input: Input;
  readonly #video: EncodedPacketSink;
  readonly #audio: EncodedPacketSink | null;
  readonly #start: number;
  readonly #reorderDepth: number;

  private constructor(input: Input, video: VideoPart, audio: AudioPart | null) {
    this.#input = input;
    this.#video = video.packets;
    this.#start = video.start;
    this.parameterSets = video.parameterSets;
    this.#reorderDepth = video.reorderDepth;
    this.period = Math.max(1, Math.round((video.end - video.start) * VIDEO_RATE));
    this.#audio = audio?.packets ?? null;
    this.audio = audio?.track ?? null;
  }

  /** Throws UNPROCESSABLE when the file is no MP4, has no H.264 video or cannot be read. */
  static async open(path: string): Promise<Mp4Clip> {
    const input = new Input({ source: new FilePathSource(path), formats: [MP4, QTFF] });
    try {
      const video = await input.getPrimaryVideoTrack();
      if (!video) throw unusable('the file has no video');
      const audio = await input.getPrimaryAudioTrack();
      return new Mp4Clip(input, await openVideo(video), audio ? await openAudio(audio) : null);
    } catch (error) {
      input.dispose();
      throw error instanceof MediaError ? error : unusable('the file cannot be read as MP4', error);
    }
  }

  /** Bytes of the largest picture or sound as the tables say; none of them is read. */
  async largestSample(): Promise<number> {
    let largest = 0;
    for (const sink of [this.#video, this.#audio]) {
      if (sink) for await (const { byteLength } of sink.packets(undefined, undefined, { metadataOnly: true })) largest = Math.max(largest, byteLength);
    }
    return largest;
  }

  /** Video and audio of one round in the order a camera would send them. Throws UNPROCESSABLE when the file breaks off. */
  async *samples(): AsyncGenerator<ClipSample> {
    const video = this.#pictures();
    const audio = this.#sounds();
    try {
      let [picture, sound] = [await next(video), await next(audio)];
      while (picture) {
        if (sound && sound.due <= picture.due) {
          yield sound;
          sound = await next(audio);
        } else {
          yield picture;
          picture = await next(video);
        }
      }
    } catch (error) {
      throw error instanceof MediaError ? error : unusable('the file cannot be read to its end', error);
    } finally {
      await video.return(undefined);
      await audio.return(undefined);
    }
  }

  [Symbol.dispose](): void {
    this.#input.dispose();
  }

  async *#pictures(): AsyncGenerator<ClipSample, undefined> {
    const decodeTimes = new DecodeTimes();
    decodeTimes.restart(this.#reorderDepth);
    for await (const packet of this.#video.packets()) {
      const pts = Math.round((packet.timestamp - this.#start) * VIDEO_RATE);
      const dts = decodeTimes.next(pts);
      const duration = Math.round(packet.duration * VIDEO_RATE);
      yield { kind: 'video', data: Buffer.from(packet.data), randomAccess: packet.type === 'key', pts, dts, duration, due: (dts * 1000) / VIDEO_RATE };
    }
  }

  /** Audio beyond the last picture is left out: the next round begins there. */
  async *#sounds(): AsyncGenerator<ClipSample, undefined> {
    if (!this.#audio || !this.audio) return;
    const rate = this.audio.clockRate;
    for await (const packet of this.#audio.packets()) {
      const seconds = packet.timestamp - this.#start;
      if (seconds + packet.duration > this.period / VIDEO_RATE) return;
      const pts = Math.round(seconds * rate);
      yield { kind: 'audio', data: Buffer.from(packet.data), randomAccess: true, pts, dts: pts, duration: Math.round(packet.duration * rate), due: seconds * 1000 };
    }
  }
}

const next = async (samples: AsyncGenerator<ClipSample, undefined>): Promise<ClipSample | null> => {
  const result = await samples.next();
  return result.done === true ? null : result.value;
};

interface VideoPart {
  readonly packets: EncodedPacketSink;
  readonly parameterSets: ParameterSets;
  readonly reorderDepth: number;
  /** Seconds. */
  readonly start: number;
  readonly end: number;
}

const openVideo = async (track: InputVideoTrack): Promise<VideoPart> => {
  if ((await track.getCodec()) !== 'avc') throw unusable('only H.264 video can be read from a file', undefined, WRONG_CODEC);
  const { description } = (await track.getDecoderConfig()) ?? {};
  const parameterSets = description === undefined ? null : readAvcC(Buffer.from(toBytes(description)));
  if (!parameterSets) throw unusable('the file has no usable avcC box with 4-byte NAL unit lengths');
  const { reorderDepth } = h264Track(parameterSets.sps, parameterSets.pps);
  return { packets: new EncodedPacketSink(track), parameterSets, reorderDepth, start: await track.getFirstTimestamp(), end: await track.computeDuration() };
};

interface AudioPart {
  readonly packets: EncodedPacketSink;
  readonly track: AudioTrack;
}

/** Audio that cannot be carried is left out: it is never a reason to refuse video. */
const openAudio = async (track: InputAudioTrack): Promise<AudioPart | null> => {
  const codec = await track.getCodec();
  if (codec === 'opus') return { packets: new EncodedPacketSink(track), track: { kind: 'audio', codec, clockRate: 48_000, channels: await track.getNumberOfChannels(), codecString: 'opus' } };
  if (codec !== 'aac') return null;
  const { description } = (await track.getDecoderConfig()) ?? {};
  if (description === undefined) return null;
  try {
    return { packets: new EncodedPacketSink(track), track: aacTrack(toBytes(description)) };
  } catch (error) {
    if (error instanceof MediaError) return null;
    throw error;
  }
};

const toBytes = (source: AllowSharedBufferSource): Uint8Array =>
  ArrayBuffer.isView(source) ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength) : new Uint8Array(source);

/** The first SPS and PPS of an AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3.1); null unless it says 4-byte lengths. */
const readAvcC = (record: Buffer): ParameterSets | null => {
  if (record.length < 7 || ((record[4] ?? 0) & 3) !== 3) return null;
  const first = (at: number): Buffer | null => {
    if (at + 2 > record.length) return null;
    const end = at + 2 + record.readUInt16BE(at);
    return end <= record.length && end > at + 2 ? record.subarray(at + 2, end) : null;
  };
  let at = 6;
  const spsCount = (record[5] ?? 0) & 0x1f;
  const sps = first(at);
  for (let i = 0; i < spsCount && at + 2 <= record.length; i++) at += 2 + record.readUInt16BE(at);
  const pps = (record[at] ?? 0) > 0 ? first(at + 1) : null;
  return spsCount > 0 && sps && pps ? { sps, pps } : null;
};

