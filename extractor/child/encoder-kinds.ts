import { AV_PIX_FMT_NV12, AV_PIX_FMT_VAAPI, AV_PIX_FMT_YUV420P, AV_PROFILE_H264_BASELINE, AV_PROFILE_H264_CONSTRAINED, FF_ENCODER_H264_NVENC, FF_ENCODER_H264_QSV, FF_ENCODER_H264_VAAPI, FF_ENCODER_LIBX264 } from 'node-av/constants';
import type { AVPixelFormat, AVProfile, FFEncoderCodec } from 'node-av/constants';
import type { HardwareType } from '../hardware/hardware-choice.ts';

/** About what cameras send; what is drawn in has sharp edges. */
const QUALITY = 23;

/** FFmpeg's flag for what the others call `baseline`, and encode so. */
const CONSTRAINED_BASELINE = (AV_PROFILE_H264_BASELINE | AV_PROFILE_H264_CONSTRAINED) as AVProfile;

/** How one of FFmpeg's H.264 encoders is told to be live: a picture out for each picture in, an IDR picture with parameter sets where one is asked for, none of its own. */
export interface EncoderKind {
  readonly name: FFEncoderCodec;
  readonly profile: AVProfile;
  readonly options: Readonly<Record<string, string | number>>;
  /** Pixels it takes. */
  readonly pixels: AVPixelFormat;
  /** These as the device holds them: pictures are brought there first; null: it takes them from memory. */
  readonly deviceFormat: AVPixelFormat | null;
  /** It aims at half of the highest rate, for it has no constant quality that all drivers know. */
  readonly aims: boolean;
}

export const SOFTWARE_ENCODER: EncoderKind = {
  name: FF_ENCODER_LIBX264, profile: AV_PROFILE_H264_BASELINE, pixels: AV_PIX_FMT_YUV420P, deviceFormat: null, aims: false,
  options: { preset: 'superfast', tune: 'zerolatency', crf: QUALITY, 'forced-idr': 1, sc_threshold: 0 },
};

/** VideoToolbox has none here: it gives pictures out when it likes. */
export const DEVICE_ENCODERS: Readonly<Record<HardwareType, EncoderKind | null>> = {
  cuda: {
    name: FF_ENCODER_H264_NVENC, profile: AV_PROFILE_H264_BASELINE, pixels: AV_PIX_FMT_YUV420P, deviceFormat: null, aims: false,
    options: { preset: 'p2', tune: 'ull', profile: 'baseline', rc: 'vbr', cq: QUALITY, zerolatency: 1, delay: 0, 'forced-idr': 1, 'no-scenecut': 1 },
  },
  vaapi: {
    name: FF_ENCODER_H264_VAAPI, profile: CONSTRAINED_BASELINE, pixels: AV_PIX_FMT_NV12, deviceFormat: AV_PIX_FMT_VAAPI, aims: true,
    options: { async_depth: 1 },
  },
  qsv: {
    name: FF_ENCODER_H264_QSV, profile: AV_PROFILE_H264_BASELINE, pixels: AV_PIX_FMT_NV12, deviceFormat: null, aims: true,
    options: { preset: 'veryfast', profile: 'baseline', async_depth: 1, forced_idr: 1, look_ahead: 0 },
  },
  videotoolbox: null,
};
