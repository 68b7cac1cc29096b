import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);
/** Clips and playbacks of a test are tens of seconds long. */
const MAX_OUTPUT = 64 << 20;

/** One access unit of an MP4 as ffprobe, a demuxer that is not ours, reads it. */
export interface Mp4Packet {
  /** Seconds of presentation, edit list applied: before 0 there is only what a decoder needs and a player does not show. */
  readonly pts: number;
  readonly randomAccess: boolean;
  /** SHA-256 of its bytes. */
  readonly hash: string;
  /** False: the edit list hides it. */
  readonly shown: boolean;
}

interface ProbePacket { readonly pts: number; readonly flags: string; readonly data_hash: string }

/** Every packet of the first track of `kind`, in decode order. Throws what ffprobe complains about. */
export const packetsOf = async (path: string, kind: 'video' | 'audio' = 'video'): Promise<Mp4Packet[]> => {
  const { stdout, stderr } = await execute(
    'ffprobe', ['-v', 'error', '-select_streams', `${kind[0] ?? 'v'}:0`, '-show_streams', '-show_packets', '-show_data_hash', 'sha256', '-of', 'json', path], { maxBuffer: MAX_OUTPUT },
  );
  if (stderr !== '') throw new Error(`ffprobe ${path}: ${stderr}`);
  const probe = JSON.parse(stdout) as { streams: { time_base: string }[]; packets: ProbePacket[] };
  const ticks = Number(probe.streams[0]?.time_base.split('/')[1] ?? 1);
  return probe.packets.map(({ pts, flags, data_hash: hash }) => ({ pts: pts / ticks, randomAccess: flags.includes('K'), hash, shown: pts >= 0 && !flags.includes('D') }));
};

/** Decodes a file with ffmpeg; resolves with the number of pictures shown. Throws at the first error in the stream. */
export const decodedPictures = async (path: string): Promise<number> => {
  const { stdout, stderr } = await execute('ffmpeg', ['-v', 'error', '-xerror', '-threads', '1', '-i', path, '-map', '0:v:0', '-fps_mode', 'passthrough', '-f', 'framecrc', '-'], { maxBuffer: MAX_OUTPUT });
  if (stderr !== '') throw new Error(`ffmpeg ${path}: ${stderr}`);
  return stdout.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;
};
