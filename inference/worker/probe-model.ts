import { join } from 'node:path';
import * as z from 'zod';
import type { Milliseconds } from '../../core/units.ts';
import { oneByOne } from '../models/batch-choice.ts';
import type { ModelFile } from '../models/model-files.ts';
import type { BatchChoice } from '../port.ts';
import { lastLine, runProbe } from './probe-process.ts';

const PROBE = join(import.meta.dirname, 'model-probe.ts');
const MAX_REASON = 1000;

export const Choice = z.object({ pictures: z.int().min(1), why: z.string().transform((why) => why.slice(0, MAX_REASON)) });

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
export const probeModel = ({ bundledFolder, threads, batchMax, deadlineMs }: ProbeOptions) => async (file: Pick<ModelFile, 'path'>): Promise<BatchChoice> => {
  const stdout = await runProbe({
    title: 'imageflow-edge model-probe', script: PROBE, args: [file.path, bundledFolder, ...[threads, batchMax, deadlineMs].map(String)], what: 'the model',
  });
  const choice = Choice.safeParse(lastLine(stdout));
  return choice.success ? choice.data : oneByOne('nothing was measured'); // a model's own output came between; it can be used even so
};
