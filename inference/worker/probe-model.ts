import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { MediaError } from '../../core/errors.ts';
import type { ModelFile } from '../models/model-files.ts';

const PROBE = join(import.meta.dirname, 'model-probe.ts');
/** A model that does not answer its first picture by then is none. */
const TIMEOUT_MS = 60_000;

/** Tries a file in a child process. Rejects with INVALID_ARGUMENT and the reason when it cannot be used, also when it crashed or hung. */
export const probeModel = (bundledFolder: string) => (file: Pick<ModelFile, 'path'>): Promise<void> =>
  new Promise((resolve, reject) => {
    const args = ['--title=imageflow-edge model-probe', PROBE, file.path, bundledFolder];
    execFile(process.execPath, args, { timeout: TIMEOUT_MS, killSignal: 'SIGKILL', maxBuffer: 1 << 20 }, (error, stdout) => {
      if (!error) resolve();
      else if (error.killed === true) reject(new MediaError('INVALID_ARGUMENT', `no answer within ${TIMEOUT_MS / 1000} s`));
      else if (error.code === 1 && stdout !== '') reject(new MediaError('INVALID_ARGUMENT', stdout));
      else reject(new MediaError('INVALID_ARGUMENT', `the model crashed ONNX Runtime (${error.signal ?? `exit code ${error.code ?? 'unknown'}`})`));
    });
  });
