import { AV_CODEC_HW_CONFIG_METHOD_HW_DEVICE_CTX, AV_HWDEVICE_TYPE_CUDA, AV_HWDEVICE_TYPE_QSV, AV_HWDEVICE_TYPE_VAAPI, AV_HWDEVICE_TYPE_VIDEOTOOLBOX, AV_PIX_FMT_YUV420P } from 'node-av/constants';
import type { AVCodecID, AVHWDeviceType, AVPixelFormat } from 'node-av/constants';
import { Codec, FFmpegError, HardwareDeviceContext } from 'node-av/lib';
import type { CodecContext, Frame } from 'node-av/lib';
import { deviceName } from '../hardware/hardware-choice.ts';
import type { HardwareDeviceSpec, HardwareType } from '../hardware/hardware-choice.ts';

const TYPES: Readonly<Record<HardwareType, AVHWDeviceType>> = { cuda: AV_HWDEVICE_TYPE_CUDA, vaapi: AV_HWDEVICE_TYPE_VAAPI, qsv: AV_HWDEVICE_TYPE_QSV, videotoolbox: AV_HWDEVICE_TYPE_VIDEOTOOLBOX };

/** How a device decodes a codec. */
export interface DeviceDecoder {
  readonly codec: Codec;
  /** Before the decoder is opened. */
  prepare(context: CodecContext): void;
  /** Brings a picture into memory. Throws when the device did not decode it: it does not take this kind of stream, or is lost. */
  fetch(picture: Frame, into: Frame): void;
}

/** A device that FFmpeg has opened. Decoders made with it go on after it is disposed of. */
export class HardwareDevice implements Disposable {
  readonly name: string;
  readonly type: HardwareType;
  readonly context = new HardwareDeviceContext();
  readonly #id: AVHWDeviceType;

  /** Takes up to a second. Throws when FFmpeg was built without it, or there is no such device. */
  constructor(spec: HardwareDeviceSpec) {
    this.name = deviceName(spec);
    this.type = spec.type;
    this.#id = TYPES[spec.type];
    FFmpegError.throwIfError(this.context.create(this.#id, spec.device), `opening ${this.name}`);
  }

  /** Null: FFmpeg has none for it. */
  decoder(id: AVCodecID): DeviceDecoder | null {
    const found = this.#find(id);
    if (!found) return null;
    const { codec, pixelFormat } = found;
    return {
      codec,
      prepare: (context) => {
        context.hwDeviceCtx = this.context;
        context.setHardwarePixelFormat(pixelFormat, AV_PIX_FMT_YUV420P);
        // QSV would hold four pictures back to be faster.
        if (this.type === 'qsv') FFmpegError.throwIfError(context.setOption('async_depth', 1), 'async_depth');
      },
      fetch: (picture, into) => {
        // FFmpeg goes on in software by itself where a device does not take a stream, more slowly than its own software decoder may.
        if (picture.format !== pixelFormat) throw new Error(`${this.name} does not decode this kind of stream`);
        FFmpegError.throwIfError(picture.hwframeTransferDataSync(into), `fetching a picture from ${this.name}`);
        FFmpegError.throwIfError(into.copyProps(picture), 'copying what is known of a picture');
      },
    };
  }

  [Symbol.dispose](): void {
    this.context.free();
  }

  /** FFmpeg's own decoders before wrapped ones (`h264_cuvid`): they behave as in software but for the pixels. */
  #find(id: AVCodecID): { readonly codec: Codec; readonly pixelFormat: AVPixelFormat } | null {
    const decoders = Codec.getCodecList().filter((codec) => codec.id === id && codec.isDecoder()).toSorted((a, b) => Number(a.wrapper !== null) - Number(b.wrapper !== null));
    for (const codec of decoders) {
      for (let i = 0; ; i++) {
        const config = codec.getHwConfig(i);
        if (!config) break;
        if (config.deviceType === this.#id && (config.methods & AV_CODEC_HW_CONFIG_METHOD_HW_DEVICE_CTX) !== 0) return { codec, pixelFormat: config.pixFmt };
      }
    }
    return null;
  }
}
