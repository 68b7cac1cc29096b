/**
 * Loads and runs one model file, then exits: 0 it can be used, with how many of its pictures to run together on stdout (JSON, the last
 * line); 1 it cannot, with the reason on stdout; anything else: it crashed. What a stranger's file does to ONNX Runtime, it does to this
 * process alone, and live pictures do not wait while it is measured.
 * `node model-probe.ts <file.onnx> <bundled folder> <threads> <most pictures> <deadline of a picture, ms>`
 */
import { readFile, writeFile } from 'node:fs/promises';
import { systemClock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import { OnnxModel } from '../models/onnx-session.ts';
import { endWithParent } from './probe-watchdog.ts';

const [, , path = '', bundledFolder = '', threads = '1', most = '1', deadlineMs = '1000'] = process.argv;
endWithParent();
// A model that takes all memory ends this process (Linux), not one of the server's.
await writeFile('/proc/self/oom_score_adj', '1000').catch(() => undefined);
try {
  using model = await OnnxModel.load({ name: 'probe', path, bytes: await readFile(path), digest: '', threads: Number(threads), bundledFolder, clock: systemClock });
  process.stdout.write(`\n${JSON.stringify(await model.measure(Number(most), Number(deadlineMs)))}`);
  process.exitCode = 0;
} catch (error) {
  process.stdout.write(messageOf(error));
  process.exitCode = 1;
}
