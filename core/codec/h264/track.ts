import { MediaError } from '../../errors.ts';
import type { H264Track } from '../../track.ts';
import { NalType, nalType } from './nal.ts';
import { parseSps } from './sps.ts';

const hex = (byte: number): string => byte.toString(16).padStart(2, '0');

/**
 * A track of these parameter sets (NAL units without start code; copied). `reorderDepth` overrides what the SPS says or lets
 * assume, for a caller who has seen the slices. Throws INVALID_ARGUMENT.
 */
export const h264Track = (sps: Uint8Array, pps: Uint8Array, reorderDepth?: number): H264Track => {
  const info = parseSps(sps);
  if (nalType(pps) !== NalType.pps || pps.length < 2) throw new MediaError('INVALID_ARGUMENT', 'not a picture parameter set');
  return {
    kind: 'video',
    codec: 'h264',
    clockRate: 90_000,
    sps: Uint8Array.from(sps),
    pps: Uint8Array.from(pps),
    width: info.width,
    height: info.height,
    codecString: `avc1.${hex(info.profile)}${hex(info.constraints)}${hex(info.level)}`,
    reorderDepth: reorderDepth ?? info.maxNumReorderFrames,
  };
};

/** AVCDecoderConfigurationRecord: the body of `avcC` (ISO/IEC 14496-15 §5.3.3.1), 4-byte NAL lengths. */
export const avcDecoderConfig = (track: H264Track): Buffer => {
  const info = parseSps(track.sps);
  const withFormats = info.profile === 100 || info.profile === 110 || info.profile === 122 || info.profile === 244;
  const size = Buffer.allocUnsafe(2);
  const parts: Uint8Array[] = [Buffer.from([1, info.profile, info.constraints, info.level, 0xff, 0xe1])];
  size.writeUInt16BE(track.sps.length);
  parts.push(Buffer.from(size), track.sps, Buffer.from([1]));
  size.writeUInt16BE(track.pps.length);
  parts.push(Buffer.from(size), track.pps);
  if (withFormats) parts.push(Buffer.from([0xfc | info.chromaFormat, 0xf8 | (info.bitDepthLuma - 8), 0xf8 | (info.bitDepthChroma - 8), 0]));
  return Buffer.concat(parts);
};
