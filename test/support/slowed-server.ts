/**
 * The whole server with a worker of ours in the real one's place, which takes for each picture as many milliseconds as the file named by
 * `SLOWED_BY` says at that moment. It has the default model, and with `LIGHT_SHARE` the bundled lighter one, which takes that share of it. `node slowed-server.ts`, settings as for `imageflow-edge start`.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { printReady, runServer } from '../../cli/server.ts';
import { sleep } from '../../core/clock.ts';
import { FakeWorker } from '../../inference/testing/fake-worker.ts';
import type { Infer } from '../../inference/testing/fake-worker.ts';

const MODEL = 'nanodet-g-416.int8.u8'; // what `detect` runs
const LIGHTER = 'nanodet-g-320.int8.u8'; // what it is lowered to

const file = process.env['SLOWED_BY'] ?? '';
const lightShare = Number(process.env['LIGHT_SHARE'] ?? NaN);
const slowed = (share: number): Infer => async ({ sourceWidth, sourceHeight }) => {
  await sleep(share * Number(readFileSync(file, 'utf8')));
  return [{ className: 'thing', classId: 0, confidence: 1, bbox: { x: 0, y: 0, width: sourceWidth, height: sourceHeight }, trackId: null }];
};

const folder = mkdtempSync(join(tmpdir(), 'if-slowed-'));
process.env['IMAGEFLOW_WORKER_LISTEN'] = `unix:${join(folder, 'worker.sock')}`;
try {
  await using _worker = await FakeWorker.start({
    listen: process.env['IMAGEFLOW_WORKER_LISTEN'],
    models: { [MODEL]: slowed(1), ...(lightShare > 0 && { [LIGHTER]: slowed(lightShare) }) },
    inputSizes: { [LIGHTER]: 320 },
  });
  process.exitCode = await runServer(undefined, printReady, { stopOrder: [['edge'], ['control']] });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
