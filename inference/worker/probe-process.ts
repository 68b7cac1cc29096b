import { execFile } from 'node:child_process';
import { MediaError } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';

/** What does not answer by then never will, or is too slow for live pictures. */
const TIMEOUT_MS: Milliseconds = 60_000;

export interface ProbeProcess {
  /** As processes are listed by. */
  readonly title: string;
  readonly script: string;
  readonly args: readonly string[];
  /** What may crash in it, for the reason: `the model`. */
  readonly what: string;
  readonly timeoutMs?: Milliseconds;
  /** Ends it. */
  readonly signal?: AbortSignal;
}

/**
 * Runs a script that tries something that may crash or hang, and gives what it wrote. Rejects with INVALID_ARGUMENT and the reason when it
 * exits with 1 (what it wrote), crashed, or did not end in time.
 */
export const runProbe = ({ title, script, args, what, timeoutMs = TIMEOUT_MS, signal }: ProbeProcess): Promise<string> =>
  new Promise((resolve, reject) => {
    execFile(process.execPath, [`--title=${title}`, script, ...args], { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 1 << 20, ...(signal && { signal }) }, (error, stdout) => {
      if (!error) resolve(stdout);
      else if (error.killed === true) reject(new MediaError('INVALID_ARGUMENT', `no answer within ${timeoutMs / 1000} s`));
      else if (error.code === 1 && stdout !== '') reject(new MediaError('INVALID_ARGUMENT', stdout));
      else reject(new MediaError('INVALID_ARGUMENT', `${what} crashed ONNX Runtime (${error.signal ?? `exit code ${error.code ?? 'unknown'}`})`));
    });
  });

/** The JSON of its last line; null: there is none. */
export const lastLine = (stdout: string): unknown => {
  try {
    return JSON.parse(stdout.split('\n').at(-1) ?? '');
  } catch {
    return null; // something else wrote between
  }
};
