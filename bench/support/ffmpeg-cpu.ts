import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** CPU time, user + system, that this machine's ffmpeg takes for a whole run, in milliseconds. Throws with what it says when it fails. */
export const ffmpegCpu = async (args: readonly string[]): Promise<number> => {
  const script = 'set -e; TIMEFORMAT=\'%U %S\'; time ffmpeg -v error -nostdin -y "$@"';
  const { stderr } = await promisify(execFile)('bash', ['-c', script, 'ffmpeg', ...args]);
  const [user, system] = (stderr.trim().split('\n').at(-1) ?? '').split(' ').map(Number);
  if (user === undefined || system === undefined || Number.isNaN(user + system)) throw new Error(`ffmpeg said: ${stderr}`);
  return 1000 * (user + system);
};
