import { AV_CODEC_FLAG_QSCALE, AV_CODEC_ID_MJPEG, AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVJ420P, FF_ENCODER_LIBWEBP, FF_QP2LAMBDA } from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, Frame, Packet, Rational } from 'node-av/lib';
import type { Canvas, StillFormat } from './canvas.ts';

/** JPEG quantiser 3 and WebP quality 80: no artefacts to be seen at a thumbnail's size, and few at the full one. */
const JPEG_QUANTISER = 3;
const WEBP_QUALITY = 80;

/** The pixel format an encoder wants: JPEG has the full range, WebP that of video. */
export const pixelFormatOf = (format: StillFormat) => (format === 'jpeg' ? AV_PIX_FMT_YUVJ420P : AV_PIX_FMT_YUV420P);

/** Encodes a canvas. Throws when FFmpeg does not. */
export const encodeStill = (canvas: Canvas, format: StillFormat): Buffer => {
  const codec = format === 'jpeg' ? Codec.findEncoder(AV_CODEC_ID_MJPEG) : Codec.findEncoderByName(FF_ENCODER_LIBWEBP);
  if (!codec) throw new Error(`FFmpeg has no ${format} encoder`);
  using context = new CodecContext();
  using frame = new Frame();
  using packet = new Packet();
  context.allocContext3(codec);
  context.width = canvas.width;
  context.height = canvas.height;
  context.pixelFormat = pixelFormatOf(format);
  context.timeBase = new Rational(1, 25);
  context.threadCount = 1;
  context.setFlags(AV_CODEC_FLAG_QSCALE);
  context.globalQuality = (format === 'jpeg' ? JPEG_QUANTISER : WEBP_QUALITY) * FF_QP2LAMBDA;
  FFmpegError.throwIfError(context.open2Sync(codec, null), 'opening the encoder');
  frame.alloc();
  frame.width = canvas.width;
  frame.height = canvas.height;
  frame.format = pixelFormatOf(format);
  FFmpegError.throwIfError(frame.getBuffer(0), 'memory for a picture');
  FFmpegError.throwIfError(frame.fromBuffer(canvas.bytes), 'filling a picture');
  frame.pts = 0n;
  frame.quality = context.globalQuality;
  FFmpegError.throwIfError(context.sendFrameSync(frame), 'encoding a picture');
  context.sendFrameSync(null);
  packet.alloc();
  FFmpegError.throwIfError(context.receivePacketSync(packet), 'encoding a picture');
  if (!packet.data) throw new Error('an encoder without output');
  return Buffer.from(packet.data);
};
