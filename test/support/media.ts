import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export const FIXTURES = join(import.meta.dirname, '..', 'fixtures');

/** The path of a test clip. */
export const clip = (name: string): string => join(FIXTURES, 'media', name);

export interface Running extends AsyncDisposable {
  readonly child: ChildProcess;
  /** Resolves with the exit code and the last of stderr. */
  readonly exit: Promise<{ code: number | null; stderr: string }>;
}

/** Starts a program that disposing ends by SIGKILL. */
export const run = (command: string, args: readonly string[]): Running => {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr = (stderr + text).slice(-8000); });
  const exit = once(child, 'close').then(([code]) => ({ code: code as number | null, stderr }));
  return {
    child, exit,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exit;
    },
  };
};

/** Real ffmpeg pushing a clip by RTSP over TCP without re-encoding. */
export const ffmpegPush = (file: string, url: string, options: { readonly loop?: boolean; readonly input?: readonly string[]; readonly output?: readonly string[] } = {}): Running =>
  run('ffmpeg', ['-hide_banner', '-loglevel', 'error', '-re', ...(options.loop ? ['-stream_loop', '-1'] : []), ...(options.input ?? []), '-i', file, ...(options.output ?? ['-c', 'copy']), '-f', 'rtsp', '-rtsp_transport', 'tcp', url]);

/** Makes a file by ffmpeg; throws with what it says. */
export const ffmpegMake = async (args: readonly string[], to: string): Promise<string> => {
  const { code, stderr } = await run('ffmpeg', ['-hide_banner', '-loglevel', 'error', '-y', ...args, to]).exit;
  if (code !== 0) throw new Error(`ffmpeg could not make ${to}: ${stderr}`);
  return to;
};
