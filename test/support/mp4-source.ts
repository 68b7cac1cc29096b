/** Access units out of a fixture MP4, as a publisher's depacketiser would make them. Needs ffprobe. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { AccessUnit } from '../../core/access-unit.ts';
import { aacTrack } from '../../core/codec/aac/audio-specific-config.ts';
import { h264Track } from '../../core/codec/h264/track.ts';
import type { AacTrack, H264Track, Tracks } from '../../core/track.ts';

export interface ClipUnit {
  readonly kind: 'video' | 'audio';
  /** Ticks of the track's clock, from 0. */
  readonly pts: number;
  readonly dts: number;
  readonly randomAccess: boolean;
  readonly data: Buffer;
  /** Milliseconds from the clip's begin at which a live source would send it. */
  readonly at: number;
}

export interface Clip {
  readonly tracks: Tracks;
  readonly units: readonly ClipUnit[];
}

interface ProbePacket { readonly stream_index: number; readonly pts: number; readonly dts: number; readonly size: string; readonly pos: string; readonly flags: string }
interface ProbeStream { readonly index: number; readonly codec_type: string; readonly time_base: string }

/** Reads a clip whose first stream is H.264 and second, if any, AAC. */
export const readClip = (path: string): Clip => {
  const probe = JSON.parse(
    execFileSync('ffprobe', ['-v', 'error', '-show_packets', '-show_streams', '-of', 'json', path], { maxBuffer: 64 << 20, encoding: 'utf8' }),
  ) as { packets: ProbePacket[]; streams: ProbeStream[] };
  const file = readFileSync(path);
  const tracks: Tracks = { video: videoTrack(file), audio: file.includes('esds') ? audioTrack(file) : null };
  const clocks = probe.streams.map((stream) => {
    const kind = stream.codec_type === 'video' ? ('video' as const) : ('audio' as const);
    const rate = kind === 'video' ? 90_000 : (tracks.audio?.clockRate ?? 48_000);
    return { kind, rate, scale: rate / Number(stream.time_base.split('/')[1]) };
  });
  const units = probe.packets.flatMap((packet): ClipUnit[] => {
    const clock = clocks[packet.stream_index];
    if (!clock) return [];
    const at = Number(packet.pos);
    const dts = Math.round(packet.dts * clock.scale);
    return [{
      kind: clock.kind,
      pts: Math.round(packet.pts * clock.scale),
      dts,
      randomAccess: packet.flags.includes('K'),
      data: file.subarray(at, at + Number(packet.size)),
      at: (dts * 1_000) / clock.rate,
    }];
  });
  // AAC of ffmpeg begins with one frame of priming before zero; live sources count from their first.
  return { tracks, units: units.filter((unit) => unit.pts >= 0).sort((a, b) => a.at - b.at) };
};

/** Makes one access unit of it, in the epoch that began at server time `epoch`. */
export const accessUnit = (unit: ClipUnit, clip: Clip, at: { readonly camera: string; readonly epoch: number; readonly seq: number }): AccessUnit => {
  const rate = unit.kind === 'video' ? 90_000 : (clip.tracks.audio?.clockRate ?? 48_000);
  return {
    kind: unit.kind,
    frame: { stream: at.camera, epoch: at.epoch, rtpTs: (unit.pts + 1_000_000) >>> 0, captureNtp: null, seq: at.seq },
    pts: unit.pts,
    dts: unit.dts,
    wall: at.epoch + (unit.pts * 1_000) / rate,
    arrivedAt: unit.at,
    randomAccess: unit.randomAccess,
    data: unit.data,
    byteLength: unit.data.length,
    tracks: clip.tracks,
  };
};

const videoTrack = (file: Buffer): H264Track => {
  const avcC = file.indexOf('avcC') + 4;
  const spsLength = file.readUInt16BE(avcC + 6);
  const sps = file.subarray(avcC + 8, avcC + 8 + spsLength);
  const pps = avcC + 8 + spsLength + 1;
  return h264Track(sps, file.subarray(pps + 2, pps + 2 + file.readUInt16BE(pps)));
};

/** DecoderSpecificInfo of `esds`; ffmpeg writes descriptor lengths in four bytes. */
const audioTrack = (file: Buffer): AacTrack => {
  const at = file.indexOf(Buffer.from([0x05, 0x80, 0x80, 0x80]), file.indexOf('esds')) + 4;
  return aacTrack(file.subarray(at + 1, at + 1 + (file[at] ?? 0)));
};
