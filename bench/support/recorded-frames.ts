import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { filesOf } from '../../test/support/recordings.ts';

const execute = promisify(execFile);

/** How many pictures ffprobe reads in all recorded files of a camera. */
export const recordedFrames = async (dataDir: string, camera: string): Promise<number> => {
  let frames = 0;
  for (const { path } of await filesOf(dataDir, camera)) {
    const { stdout } = await execute('ffprobe', ['-v', 'error', '-select_streams', 'v:0', '-count_packets', '-show_entries', 'stream=nb_read_packets', '-of', 'csv=p=0', path]);
    frames += Number.parseInt(stdout, 10);
  }
  return frames;
};
