import { execFile } from 'node:child_process';
import { join } from 'node:path';
import * as z from 'zod';
import { MediaError } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import { oneByOne } from '../models/batch-choice.ts';
import type { ModelFile } from '../models/model-files.ts';
import type { BatchChoice } from '../port.ts';

const PROBE = join(import.meta.dirname, 'model-probe.ts');
/** A model that does not answer its first picture by then is none. */
const TIMEOUT_MS = 60_000;
const MAX_REASON = 1000;

const Choice = z.object({ pictures: z.int().min(1), why: z.string().transform((why) => why.slice(0, MAX_REASON)) });

export interface ProbeOptions {
  readonly bundledFolder: string;
  /** As the model will have. */
  readonly threads: number;
  /** Pictures put together in one run at most. */
  readonly batchMax: number;
  /** What a picture has. */
  readonly deadlineMs: Milliseconds;
}

/**
 * Tries a file in a child process; gives how many of its pictures to run together. Rejects with INVALID_ARGUMENT and the reason when it
 * cannot be used, also when it crashed or hung.
 */
export const probeModel = ({ bundledFolder, threads, batchMax, deadlineMs }: ProbeOptions) => (file: Pick<ModelFile, 'path'>): Promise<BatchChoice> =>
  new Promise((resolve, reject) => {
    const args = ['--title=imageflow-edge model-probe', PROBE, file.path, bundledFolder, ...[threads, batchMax, deadlineMs].map(String)];
    execFile(process.execPath, args, { timeout: TIMEOUT_MS, killSignal: 'SIGKILL', maxBuffer: 1 << 20 }, (error, stdout) => {
      if (!error) resolve(choiceIn(stdout));
      else if (error.killed === true) reject(new MediaError('INVALID_ARGUMENT', `no answer within ${TIMEOUT_MS / 1000} s`));
      else if (error.code === 1 && stdout !== '') reject(new MediaError('INVALID_ARGUMENT', stdout));
      else reject(new MediaError('INVALID_ARGUMENT', `the model crashed ONNX Runtime (${error.signal ?? `exit code ${error.code ?? 'unknown'}`})`));
    });
  });

const choiceIn = (stdout: string): BatchChoice => {
  try {
    return Choice.parse(JSON.parse(stdout.split('\n').at(-1) ?? ''));
  } catch {
    return oneByOne('nothing was measured'); // a model's own output came between; it can be used even so
  }
};
