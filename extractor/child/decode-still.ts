import { constants, crc32, deflate, inflate } from 'node:zlib';
import { promisify } from 'node:util';
import { AV_CODEC_ID_MJPEG, AV_CODEC_ID_PNG, AV_CODEC_ID_WEBP, AV_FRAME_FLAG_INTERLACED } from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, Frame, Packet } from 'node-av/lib';
import { PNG_SIGNATURE } from '../../core/codec/still/png.ts';
import { damaged } from '../../core/codec/still/still-picture.ts';
import type { PngPicture, StillPicture, WebpPicture } from '../../core/codec/still/still-picture.ts';

const unpack = promisify(inflate);
const pack = promisify<Buffer, { level: number }, Buffer>(deflate);

const CODECS = { jpeg: AV_CODEC_ID_MJPEG, png: AV_CODEC_ID_PNG, webp: AV_CODEC_ID_WEBP } as const;
/** Decoders round sizes up, to macroblocks and to what vector instructions want. */
const ALIGNMENT = 64;

/**
 * Decodes one picture on other threads, by a decoder of its own: nothing of one picture, and of its sender, is seen by the next. What is missing or
 * wrong in it is an error, not grey. The frame is the caller's to free. Rejects with INVALID_ARGUMENT when it cannot be decoded.
 */
export const decodeStill = async (still: StillPicture): Promise<Frame> => {
  const { format, width, height } = still;
  const bytes = await fileOf(still);
  const codec = Codec.findDecoder(CODECS[format]);
  if (!codec) throw new Error(`FFmpeg has no ${format} decoder`);
  using context = new CodecContext();
  using packet = new Packet();
  context.allocContext3(codec);
  context.threadCount = 1;
  // Whatever a decoder finds in the picture that its markers did not tell.
  for (const [name, value] of [['max_pixels', String((width + ALIGNMENT) * (height + ALIGNMENT))], ['err_detect', 'explode']] as const) {
    if (context.setOption(name, value) < 0) throw new Error(`FFmpeg does not know ${name}`);
  }
  FFmpegError.throwIfError(context.open2Sync(codec, null), 'opening the decoder');
  packet.alloc();
  packet.data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength); // FFmpeg copies it, with the padding its bit readers need
  const sent = await context.sendPacket(packet);
  if (sent < 0) throw damaged(new FFmpegError(sent).message);
  const frame = new Frame();
  frame.alloc();
  const received = context.receiveFrameSync(frame);
  // Of a PNG this means the order of its pixels in the file. libswscale takes it for two fields, and scales each by itself.
  frame.clearFlags(AV_FRAME_FLAG_INTERLACED);
  if (received >= 0 && frame.decodeErrorFlags === 0 && frame.width === width && frame.height === height) return frame;
  frame.free();
  throw damaged(received < 0 ? new FFmpegError(received).message : 'parts of it are missing');
};

/** What the decoder is shown of a picture. */
const fileOf = (still: StillPicture): Uint8Array | Promise<Uint8Array> => {
  switch (still.format) {
    case 'jpeg': return still.bytes;
    case 'png': return boundedPng(still);
    case 'webp': return plainWebp(still);
  }
};

/** The same picture without alpha, profiles and metadata. */
const plainWebp = ({ chunk: picture }: WebpPicture): Buffer => {
  const padded = picture.length + (picture.length & 1);
  const file = Buffer.alloc(12 + padded);
  file.write('RIFF', 0, 'latin1');
  file.writeUInt32LE(4 + padded, 4);
  file.write('WEBP', 8, 'latin1');
  file.set(picture, 12);
  return file;
};

/**
 * The same picture with its rows stored instead of compressed. FFmpeg's decoder unpacks whatever there is: two megabytes of data may become two gigabytes of
 * rows that no picture has, and take a minute. Here there is a bound: what the header says.
 */
const boundedPng = async ({ head, data, rowBytes }: PngPicture): Promise<Buffer> => {
  const rows = await unpack(Buffer.concat(data), { maxOutputLength: rowBytes }).catch(() => { throw damaged('its data cannot be unpacked, or is more than it has pixels'); });
  if (rows.length !== rowBytes) throw damaged('its data ends before its last pixel');
  return Buffer.concat([Buffer.from(PNG_SIGNATURE), ...head, chunk('IDAT', await pack(rows, { level: constants.Z_NO_COMPRESSION })), chunk('IEND', Buffer.alloc(0))]);
};

const chunk = (type: string, content: Buffer): Buffer => {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(content.length, 0);
  head.write(type, 4, 'latin1');
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32(content, crc32(head.subarray(4))), 0);
  return Buffer.concat([head, content, crc]);
};
