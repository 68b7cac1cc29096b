/**
 * Loads and runs one model file, then exits: 0 it can be used; 1 it cannot, with the reason on stdout; anything else: it crashed.
 * What a stranger's file does to ONNX Runtime, it does to this process alone.
 * `node model-probe.ts <file.onnx> <bundled folder>`
 */
import { readFile, writeFile } from 'node:fs/promises';
import { systemClock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import { OnnxModel } from '../models/onnx-session.ts';

const [, , path = '', bundledFolder = ''] = process.argv;
// A model that takes all memory ends this process (Linux), not one of the server's.
await writeFile('/proc/self/oom_score_adj', '1000').catch(() => undefined);
try {
  using _model = await OnnxModel.load({ name: 'probe', path, bytes: await readFile(path), digest: '', threads: 1, bundledFolder, clock: systemClock });
  process.exitCode = 0;
} catch (error) {
  process.stdout.write(messageOf(error));
  process.exitCode = 1;
}
