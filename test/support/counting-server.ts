/**
 * The whole server with a worker of ours in the real one's place: its model reads the frame counter from the pixels it is given and answers with
 * one detection whose class is that number, around the counter itself; with `moving`, where that number says (`moving-box.ts`).
 * `node counting-server.ts [moving]`, settings as for `imageflow-edge start`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { printReady, runServer } from '../../cli/server.ts';
import { letterbox } from '../../core/letterbox.ts';
import { FakeWorker } from '../../inference/testing/fake-worker.ts';
import { readFrameStrip } from './frame-strip.ts';
import { movingBox } from './moving-box.ts';

const INPUT = 416;
const moving = process.argv[2] === 'moving';
const MODEL = 'nanodet-g-416.int8.u8'; // what `detect` runs

const folder = mkdtempSync(join(tmpdir(), 'if-counting-'));
process.env['IMAGEFLOW_WORKER_LISTEN'] = `unix:${join(folder, 'worker.sock')}`;
try {
  await using _worker = await FakeWorker.start({
    listen: process.env['IMAGEFLOW_WORKER_LISTEN'],
    inputSize: INPUT,
    models: {
      [MODEL]: ({ pixels, sourceWidth, sourceHeight }) => {
        const { left, top, width, height } = letterbox(sourceWidth, sourceHeight, INPUT, INPUT);
        const number = readFrameStrip(pixels.subarray((top * INPUT + left) * 3), width, (height * 40) / 720, 3, INPUT * 3);
        if (number === null) return [];
        const bbox = moving ? movingBox(number) : { x: 0, y: 0, width: sourceWidth, height: (sourceHeight * 40) / 720 };
        return [{ className: String(number), classId: 0, confidence: 1, bbox, trackId: null }];
      },
    },
  });
  process.exitCode = await runServer(undefined, printReady, { stopOrder: [['edge'], ['control']] });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
