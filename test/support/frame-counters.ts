import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { readFrameStrip } from './frame-strip.ts';

const WIDTH = 320;
const HEIGHT = 10;
const MAX_OUTPUT = 256 << 20;

/** The numbers of `counter-720p30.mp4` in the pictures of a file, in order, as ffmpeg decodes them; null where none can be read. */
export const countersOf = async (path: string): Promise<(number | null)[]> => {
  const { stdout } = await promisify(execFile)(
    'ffmpeg', ['-v', 'error', '-threads', '1', '-i', path, '-map', '0:v:0', '-fps_mode', 'passthrough', '-vf', `crop=iw:ih*40/720:0:0,scale=${String(WIDTH)}:${String(HEIGHT)}`, '-pix_fmt', 'gray', '-f', 'rawvideo', '-'],
    { maxBuffer: MAX_OUTPUT, encoding: 'buffer' },
  );
  return countersIn(stdout, WIDTH, HEIGHT);
};

/** The same for strips of luma, one behind the other. */
export const countersIn = (luma: Buffer, width: number, height: number): (number | null)[] =>
  Array.from({ length: Math.floor(luma.length / (width * height)) }, (_, i) => readFrameStrip(luma.subarray(i * width * height, (i + 1) * width * height), width, height, 1));
