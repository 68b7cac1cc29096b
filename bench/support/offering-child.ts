/**
 * An extractor's dispatcher without a decoder: offers pictures of 416² to a worker, and tells its parent each second what came of them.
 * `node offering-child.ts <address> <cameras> <fps>`; 0 pictures a second: each camera offers the next one when the one before is answered.
 */
import { systemClock } from '../../core/clock.ts';
import { Dispatcher } from '../../inference/dispatcher.ts';
import type { PixelLease } from '../../inference/port.ts';
import { growHeapForPictures } from '../../platform/heap-growth.ts';
import { silentLogger } from '../../platform/logging.ts';
import { exitWithParent } from '../../platform/parent-process.ts';

const SIDE = 416;
const TELL_MS = 1_000;
const LOOK_MS = 20;

growHeapForPictures();
const parent = exitWithParent();
const [address = '', cameras = '1', fps = '15'] = process.argv.slice(2);
const free: Buffer[] = [];
const lease = (): PixelLease => {
  const bytes = free.pop() ?? Buffer.alloc(3 * SIDE * SIDE, 114);
  return { bytes, [Symbol.dispose]: () => { free.push(bytes); } };
};

let [results, skipped, sequence] = [0, 0, 0];
const offer = (camera: string): void => {
  const seq = sequence++;
  dispatcher.offer({
    camera, detector: 'd', model: 'm', confidence: null, faintConfidence: null, frame: { stream: camera, epoch: 1, rtpTs: (seq * 3_000) >>> 0, captureNtp: null, seq },
    capturedAt: systemClock.now(), sourceWidth: 1280, sourceHeight: 720, pixels: lease(),
  });
};
const again = (camera: string): void => { if (fps === '0') setImmediate(offer, camera); };
const dispatcher = new Dispatcher({
  workers: [{ address }], deadlineMs: 1_000, clock: systemClock, logger: silentLogger(),
  listener: {
    onResult: (_detector, result) => { results++; again(result.frame.stream); },
    onSkip: (camera) => { skipped++; again(camera); },
  },
});

const begin = (): void => {
  const names = Array.from({ length: Number(cameras) }, (_, i) => `camera-${String(i)}`);
  if (fps === '0') for (const camera of names) offer(camera);
  // Cameras send their pictures at different moments.
  else for (const [i, camera] of names.entries()) systemClock.after((1000 * i) / Number(fps) / names.length, () => systemClock.every(1000 / Number(fps), () => { offer(camera); }));
  systemClock.every(TELL_MS, () => { parent?.send({ results, skipped }); });
};
const waiting = systemClock.every(LOOK_MS, () => {
  if (!dispatcher.model('m')) return;
  waiting[Symbol.dispose]();
  begin();
});
