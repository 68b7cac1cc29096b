/** Access units of an MP4 test clip, as a publisher's depacketiser would make them. For tests only. */
import { AV_PKT_FLAG_KEY } from 'node-av/constants';
import { FormatContext, Packet } from 'node-av/lib';
import type { AccessUnit } from '../../core/access-unit.ts';
import type { H264Track, Tracks } from '../../core/track.ts';

export interface ClipUnit {
  readonly data: Buffer;
  /** 90 kHz, from 0. */
  readonly pts: number;
  readonly dts: number;
  readonly randomAccess: boolean;
}

export interface Clip {
  readonly tracks: Tracks & { readonly video: H264Track };
  readonly units: readonly ClipUnit[];
}

/** Reads the H.264 track of a clip whole. */
export const readClip = async (path: string): Promise<Clip> => {
  const input = new FormatContext();
  input.openInputSync(path);
  await input.findStreamInfo(null);
  const index = input.streams.findIndex((stream) => stream.codecpar.codecType === 0);
  const stream = input.streams[index];
  const avcC = stream?.codecpar.extradata;
  if (!stream || !avcC) throw new Error(`${path} has no H.264`);
  const spsLength = avcC.readUInt16BE(6);
  const sps = Buffer.from(avcC.subarray(8, 8 + spsLength));
  const ppsLength = avcC.readUInt16BE(9 + spsLength);
  const pps = Buffer.from(avcC.subarray(11 + spsLength, 11 + spsLength + ppsLength));
  const ticks = (value: bigint): number => Math.round((Number(value) * stream.timeBase.num * 90_000) / stream.timeBase.den);
  const units: ClipUnit[] = [];
  const packet = new Packet();
  packet.alloc();
  while (input.readFrameSync(packet) >= 0) {
    if (packet.streamIndex === index && packet.data) {
      units.push({ data: Buffer.from(packet.data), pts: ticks(packet.pts), dts: ticks(packet.dts), randomAccess: packet.hasFlags(AV_PKT_FLAG_KEY) });
    }
    packet.unref();
  }
  const { width, height } = stream.codecpar;
  await input.closeInput();
  const video: H264Track = { kind: 'video', codec: 'h264', clockRate: 90_000, sps, pps, width, height, codecString: `avc1.${sps.subarray(1, 4).toString('hex')}`, reorderDepth: 0 };
  return { tracks: { video, audio: null }, units };
};

/** A clip's unit as the Hub gets it. `shift`: ticks added to its times. */
export const accessUnit = (camera: string, epoch: number, seq: number, unit: ClipUnit, tracks: Tracks, arrivedAt: number, shift = 0): AccessUnit => {
  const pts = unit.pts + shift;
  return {
    kind: 'video',
    frame: { stream: camera, epoch, rtpTs: (pts + 1_000_000) >>> 0, captureNtp: null, seq },
    pts,
    dts: unit.dts + shift,
    wall: epoch + pts / 90,
    arrivedAt,
    randomAccess: unit.randomAccess,
    data: unit.data,
    byteLength: unit.data.length,
    tracks,
  };
};
