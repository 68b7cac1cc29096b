import { join } from 'node:path';
import * as z from 'zod';
import type { Clock } from '../../core/clock.ts';
import type { Milliseconds } from '../../core/units.ts';
import { ChildProcess, describeExit } from '../../platform/child-process.ts';
import { CODECS } from './hardware-choice.ts';
import type { HardwareDeviceSpec, ProbeVerdict } from './hardware-choice.ts';

const TITLE = 'imageflow-edge hardware-probe';
const SCRIPT = join(import.meta.dirname, '..', '..', 'processes', 'hardware-probe.ts');
/** Drivers take a second or two; on a machine that is busy with starting, longer. */
const LIMIT_MS: Milliseconds = 30_000;

const Verdict = z.strictObject({ type: z.literal('verdict'), decode: z.array(z.enum(CODECS)), encode: z.boolean(), failures: z.record(z.string(), z.string()) });

/** Tries a device in a process of its own, which ends with `signal`: a driver may crash or hang it. Never rejects. */
export const probeInProcess = async (clock: Clock, { type, device }: HardwareDeviceSpec, signal: AbortSignal, script = SCRIPT): Promise<ProbeVerdict> => {
  let verdict: ProbeVerdict | undefined;
  await using child = ChildProcess.spawn({
    title: TITLE, script, args: [type, device ?? ''], clock,
    onStderrLine: () => undefined, // drivers talk; the last lines are in how it ended
    onMessage: (message) => {
      const parsed = Verdict.safeParse(message);
      if (parsed.success) verdict = parsed.data;
    },
  });
  const late = new AbortController();
  using _limit = clock.after(LIMIT_MS, () => {
    late.abort();
    child.kill('SIGKILL');
  });
  const onAbort = (): void => { child.kill('SIGKILL'); };
  signal.addEventListener('abort', onAbort, { once: true });
  const exit = await child.exited;
  signal.removeEventListener('abort', onAbort);
  if (verdict && exit.code === 0) return { decode: verdict.decode, encode: verdict.encode, failures: verdict.failures };
  return { decode: [], encode: false, failures: { device: late.signal.aborted ? `its driver did not answer within ${String(LIMIT_MS / 1000)} s` : `its driver ended the process that tried it: ${describeExit(TITLE, exit)}` } };
};
