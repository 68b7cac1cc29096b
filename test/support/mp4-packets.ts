import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ALL_FORMATS, EncodedPacketSink, FilePathSource, Input } from 'mediabunny';

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

/** How many pictures `ffprobe -count_frames` decodes. Throws what it complains about. */
export const countedFrames = async (path: string): Promise<number> => {
  const { stdout, stderr } = await execute('ffprobe', ['-v', 'error', '-threads', '1', '-count_frames', '-select_streams', 'v:0', '-show_entries', 'stream=nb_read_frames', '-of', 'default=nw=1:nk=1', path]);
  if (stderr !== '') throw new Error(`ffprobe ${path}: ${stderr}`);
  return Number(stdout);
};

/** Presentation times (seconds) of all pictures in decode order as mediabunny, a third demuxer, reads them. */
export const mediabunnyTimes = async (path: string): Promise<number[]> => {
  using input = new Input({ formats: ALL_FORMATS, source: new FilePathSource(path) });
  const track = await input.getPrimaryVideoTrack();
  if (!track) throw new Error(`${path}: mediabunny finds no pictures`);
  const times: number[] = [];
  for await (const packet of new EncodedPacketSink(track).packets()) times.push(packet.timestamp);
  return times;
};
