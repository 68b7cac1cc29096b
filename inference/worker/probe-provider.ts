import { join } from 'node:path';
import * as z from 'zod';
import type { ExecutionProvider } from '../../config/inference.ts';
import { messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { ModelFile } from '../models/model-files.ts';
import type { ProviderVerdict } from '../models/provider-choice.ts';
import { Choice } from './probe-model.ts';
import type { ProbeOptions } from './probe-model.ts';
import { lastLine, runProbe } from './probe-process.ts';

const PROBE = join(import.meta.dirname, 'provider-probe.ts');
/** Characters of a reason that are kept: ONNX Runtime's may be pages. */
const MAX_REASON = 500;

const Duration = z.object({ median: z.number().positive(), least: z.number().positive() });
const Measured = z.object({ cpu: Duration, own: Duration, batch: Choice, loadMs: z.number().min(0) });

export interface ProviderProbeOptions extends ProbeOptions {
  /** For tests: another script, and how long it has. */
  readonly script?: string;
  readonly timeoutMs?: Milliseconds;
}

export type ProviderProbe = (file: Pick<ModelFile, 'path'>, provider: ExecutionProvider, signal: AbortSignal) => Promise<ProviderVerdict>;

/** Tries a model on a provider in a process of its own, which ends with `signal`: a driver may crash or hang it. Never rejects. */
export const probeProvider = ({ bundledFolder, threads, batchMax, deadlineMs, script = PROBE, timeoutMs }: ProviderProbeOptions): ProviderProbe => async ({ path }, provider, signal) => {
  try {
    const stdout = await runProbe({
      title: 'imageflow-edge provider-probe', script, args: [path, bundledFolder, ...[threads, batchMax, deadlineMs].map(String), provider], what: 'it', signal,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
    const measured = Measured.safeParse(lastLine(stdout));
    return measured.success ? { usable: true, ...measured.data } : { usable: false, why: 'its trial ended without a word' };
  } catch (error) {
    return { usable: false, why: messageOf(error).replace(/\s+/g, ' ').trim().slice(0, MAX_REASON) };
  }
};
