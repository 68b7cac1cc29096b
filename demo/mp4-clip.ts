import { readFile } from 'node:fs/promises';
import { ALL_FORMATS, BufferSource, EncodedPacketSink, Input } from 'mediabunny';

/** A clip's H.264 pictures in decode order, in memory. */
export interface Clip {
  /** NAL units without start codes. */
  readonly sps: Buffer;
  readonly pps: Buffer;
  /** Length in 90 kHz ticks. */
  readonly duration: number;
  readonly pictures: readonly { readonly pts: number; readonly randomAccess: boolean; readonly data: Buffer }[];
}

/** Reads an MP4 with one H.264 track. `data` as `AccessUnit.data`: NAL units behind 4-byte lengths. */
export const readClip = async (path: string): Promise<Clip> => {
  using input = new Input({ formats: ALL_FORMATS, source: new BufferSource(await readFile(path)) });
  const track = await input.getPrimaryVideoTrack();
  const config = await track?.getDecoderConfig();
  if (!track || !config?.description) throw new Error(`${path} has no H.264 track`);
  const avcc = Buffer.from(ArrayBuffer.isView(config.description) ? config.description.buffer.slice(config.description.byteOffset, config.description.byteOffset + config.description.byteLength) : config.description as ArrayBuffer);
  // AVCDecoderConfigurationRecord, ISO/IEC 14496-15 §5.3.3.1: one SPS, then one PPS.
  const spsLength = avcc.readUInt16BE(6);
  const ppsLength = avcc.readUInt16BE(9 + spsLength);
  const pictures: { pts: number; randomAccess: boolean; data: Buffer }[] = [];
  const sink = new EncodedPacketSink(track);
  let end = 0;
  for await (const packet of sink.packets()) {
    pictures.push({ pts: Math.round(packet.timestamp * 90_000), randomAccess: packet.type === 'key', data: Buffer.from(packet.data) });
    end = Math.max(end, Math.round((packet.timestamp + packet.duration) * 90_000));
  }
  return { sps: avcc.subarray(8, 8 + spsLength), pps: avcc.subarray(11 + spsLength, 11 + spsLength + ppsLength), duration: end, pictures };
};
