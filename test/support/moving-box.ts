/** A box whose place says which picture of `counter-720p30.mp4` it was found in, and how it is found again in pixels. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Box } from '../../core/detection.ts';
import { clip } from './media.ts';

/** Places there are. */
export const PLACES = 16;
/** Rows that all boxes cross with nothing but their upright edges, in pixels of 1280x720. */
export const ROWS = { top: 476, height: 8 } as const;

const WIDTH = 1280;
const MAX_OUTPUT = 64 << 20;

/** In the n-th picture. */
export const movingBox = (number: number): Box => ({ x: 80 + 64 * (number % PLACES), y: 360, width: 48, height: 240 });

/** These rows of every picture of a file of 1280x720, their mean: 1280 pixels of red, green and blue. */
export const linesOf = async (path: string): Promise<Buffer[]> => {
  const { stdout } = await promisify(execFile)(
    'ffmpeg', ['-v', 'error', '-threads', '1', '-i', path, '-map', '0:v:0', '-fps_mode', 'passthrough', '-vf', `crop=${String(WIDTH)}:${String(ROWS.height)}:0:${String(ROWS.top)},scale=${String(WIDTH)}:1:flags=area`, '-pix_fmt', 'rgb24', '-f', 'rawvideo', '-'],
    { maxBuffer: MAX_OUTPUT, encoding: 'buffer' },
  );
  return Array.from({ length: stdout.length / (3 * WIDTH) }, (_, i) => stdout.subarray(3 * WIDTH * i, 3 * WIDTH * (i + 1)));
};

/** What the clip itself shows there. */
export const plainLines = (): Promise<Buffer[]> => linesOf(clip('counter-720p30.mp4'));

/** How much two lines differ on both upright edges of the box of each place, 0..255. */
const edges = (line: ArrayLike<number>, plain: ArrayLike<number>): number[] =>
  Array.from({ length: PLACES }, (_, place) => {
    const { x, width } = movingBox(place);
    const side = (left: number): number => {
      let sum = 0;
      for (let at = 3 * left; at < 3 * (left + 2); at++) sum += Math.abs((line[at] ?? 0) - (plain[at] ?? 0));
      return sum / 6;
    };
    return Math.min(side(x), side(x + width - 2));
  });

/** At which place there is a box in `line` that is not in `plain`; null: at none, or at more than one. */
export const boxedPlace = (line: ArrayLike<number>, plain: ArrayLike<number>): number | null => {
  const drawn = edges(line, plain).flatMap((difference, place) => (difference > DRAWN ? [place] : []));
  return drawn.length === 1 ? (drawn[0] ?? null) : null;
};

/** What encoding alone changes is much less. */
const DRAWN = 25;
