/**
 * Runs a model on a provider of ONNX Runtime and on the CPU, then exits: 0 it gives the same, with what a picture takes on each and how
 * many to run together on stdout (JSON, the last line); 1 it does not, with the reason on stdout; anything else: it crashed.
 * `node provider-probe.ts <file.onnx> <bundled folder> <threads> <most pictures> <deadline of a picture, ms> <provider>`
 */
import { readFile, writeFile } from 'node:fs/promises';
import { systemClock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import { yieldToMedia } from '../../platform/process-priority.ts';
import { OnnxModel } from '../models/onnx-session.ts';
import { compareRuns } from '../models/provider-trial.ts';
import { endWithParent } from './probe-watchdog.ts';

const [, , path = '', bundledFolder = '', threads = '1', most = '1', deadlineMs = '1000', provider = ''] = process.argv;
endWithParent();
yieldToMedia(); // both sides are slowed alike
// A driver that takes all memory ends this process (Linux), not one of the server's.
await writeFile('/proc/self/oom_score_adj', '1000').catch(() => undefined);
try {
  const options = { name: 'probe', path, bytes: await readFile(path), digest: '', threads: Number(threads), bundledFolder, clock: systemClock };
  const began = systemClock.monotonic();
  using own = await OnnxModel.load({ ...options, provider: { name: provider, why: '' } });
  const loadMs = systemClock.monotonic() - began;
  using cpu = await OnnxModel.load(options);
  const times = await compareRuns({ cpu: (pictures) => cpu.values(pictures), own: (pictures) => own.values(pictures), bytes: own.pictureBytes, clock: systemClock });
  const batch = await own.measure(Number(most), Number(deadlineMs));
  if (own.info.provider?.name !== provider) throw new Error(own.info.provider?.why ?? 'it failed');
  process.stdout.write(`\n${JSON.stringify({ ...times, batch, loadMs })}`);
  process.exitCode = 0;
} catch (error) {
  process.stdout.write(messageOf(error));
  process.exitCode = 1;
}
