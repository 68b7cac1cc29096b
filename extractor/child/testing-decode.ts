import { AV_CODEC_ID_MJPEG, AV_CODEC_ID_PNG, AV_CODEC_ID_WEBP } from 'node-av/constants';
import type { AVCodecID } from 'node-av/constants';
import { Codec, CodecContext, Frame, Packet } from 'node-av/lib';
import type { PictureFormat } from '../port.ts';

const CODECS: Readonly<Record<PictureFormat, AVCodecID>> = { jpeg: AV_CODEC_ID_MJPEG, png: AV_CODEC_ID_PNG, webp: AV_CODEC_ID_WEBP };

/** What `look` sees in an encoded picture; the frame is valid during the call. For tests. */
export const lookInto = <T>({ format, bytes }: { readonly format: PictureFormat; readonly bytes: Buffer }, look: (frame: Frame) => T): T => {
  const codec = Codec.findDecoder(CODECS[format]);
  if (!codec) throw new Error(`no ${format} decoder`);
  using context = new CodecContext();
  using packet = new Packet();
  using frame = new Frame();
  context.allocContext3(codec);
  context.open2Sync(codec, null);
  packet.alloc();
  frame.alloc();
  packet.data = bytes;
  context.sendPacketSync(packet);
  context.sendPacketSync(null);
  if (context.receiveFrameSync(frame) < 0) throw new Error(`no ${format} picture`);
  return look(frame);
};
