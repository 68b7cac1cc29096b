import { AV_CODEC_ID_H264, FF_THREAD_FRAME } from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, Frame, Packet } from 'node-av/lib';
import { MediaError } from '../../core/errors.ts';

/** Frame threads: a picture in the middle of a GOP needs all before it, which several cores decode side by side. More than these pay no more. */
const MAX_THREADS = 4;

/**
 * Decodes the last of `units` (H.264 with length-prefixed NAL units, in decode order from a random access one on). Pictures before it that no other
 * needs are not decoded. The frame is the caller's to free. Throws INVALID_ARGUMENT when it cannot be decoded.
 */
export const decodeLast = (decoderConfig: Buffer, units: readonly Buffer[], cores: number): Frame => {
  const codec = Codec.findDecoder(AV_CODEC_ID_H264);
  if (!codec) throw new Error('FFmpeg has no H.264 decoder');
  using context = new CodecContext();
  using packet = new Packet();
  const frame = new Frame();
  context.allocContext3(codec);
  context.extraData = decoderConfig;
  context.threadCount = units.length === 1 ? 1 : Math.min(MAX_THREADS, cores);
  context.threadType = FF_THREAD_FRAME;
  FFmpegError.throwIfError(context.open2Sync(codec, null), 'opening the decoder');
  packet.alloc();
  frame.alloc();
  const wanted = units.length - 1;
  const received = (): boolean => {
    while (context.receiveFrameSync(frame) >= 0) {
      if (Number(frame.pts) === wanted) return true;
      frame.unref();
    }
    return false;
  };
  for (const [i, unit] of units.entries()) {
    if (context.setOption('skip_frame', i === wanted ? 'default' : 'noref') < 0) throw new Error('FFmpeg does not know skip_frame');
    packet.data = unit; // FFmpeg copies it, with the padding its bit readers need
    packet.pts = BigInt(i);
    const sent = context.sendPacketSync(packet);
    packet.unref();
    if (sent < 0 && i === wanted) break; // a damaged one before it may still leave something to show
    if (received()) return frame;
  }
  context.sendPacketSync(null);
  if (received()) return frame;
  frame.free();
  throw new MediaError('INVALID_ARGUMENT', 'the recorded picture cannot be decoded');
};
