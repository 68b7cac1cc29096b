import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { FrameOffer } from './port.ts';
import { WaitingFrames } from './waiting-frames.ts';

const offer = (camera: string, detector: string, seq: number): FrameOffer => ({
  camera, detector, model: 'm', confidence: null, faintConfidence: null, frame: { stream: camera, epoch: 0, rtpTs: 0, captureNtp: null, seq }, capturedAt: 0, sourceWidth: 1, sourceHeight: 1,
  pixels: { bytes: new Uint8Array(0), [Symbol.dispose]: () => undefined },
});
const put = (waiting: WaitingFrames, camera: string, detector: string, seq: number, offeredAt = 0): number | undefined =>
  waiting.put({ offer: offer(camera, detector, seq), offeredAt, waitingSince: offeredAt })?.offer.frame.seq;
const take = (waiting: WaitingFrames): string | undefined => {
  const frame = waiting.take();
  return frame && `${frame.offer.camera}/${frame.offer.detector}/${frame.offer.frame.seq}`;
};

test('[EXT-6] the newest picture of a detector takes the place of the older, and its turn', () => {
  const waiting = new WaitingFrames();
  expect(put(waiting, 'a', 'd', 1)).toBeUndefined();
  put(waiting, 'b', 'd', 1);
  expect(put(waiting, 'a', 'd', 2)).toBe(1);
  expect([take(waiting), take(waiting), take(waiting)]).toEqual(['a/d/2', 'b/d/1', undefined]);
});

test('[EXT-4] cameras take turns however many detectors they have', () => {
  const waiting = new WaitingFrames();
  for (const detector of ['x', 'y', 'z']) put(waiting, 'a', detector, 1);
  put(waiting, 'b', 'x', 1);
  expect([take(waiting), take(waiting), take(waiting), take(waiting)]).toEqual(['a/x/1', 'b/x/1', 'a/y/1', 'a/z/1']);
});

test('[INF-1] what no worker with credit can take keeps its turn', () => {
  const waiting = new WaitingFrames();
  for (const [camera, detector] of [['a', 'x'], ['a', 'y'], ['b', 'x'], ['b', 'y']] as const) put(waiting, camera, detector, 1);
  const accepted = (detector: string): string | undefined => {
    const frame = waiting.take((each) => each.detector === detector);
    return frame && `${frame.offer.camera}/${frame.offer.detector}`;
  };
  expect([accepted('y'), accepted('y'), accepted('y')]).toEqual(['a/y', 'b/y', undefined]);
  expect([take(waiting), take(waiting)]).toEqual(['a/x/1', 'b/x/1']);
});

test('old pictures, and those of one camera, can be taken out', () => {
  const waiting = new WaitingFrames();
  put(waiting, 'a', 'x', 1, 10);
  put(waiting, 'a', 'y', 1, 20);
  put(waiting, 'b', 'x', 1, 20);
  expect(waiting.takeOlderThan(15)).toHaveLength(1);
  expect(waiting.takeAll('a')).toHaveLength(1);
  expect(waiting.size).toBe(1);
});

test('a camera that always has a picture is served at least every n-th time among n', () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 6 }), fc.array(fc.tuple(fc.nat(5), fc.nat(3)), { maxLength: 100 }), (cameras, noise) => {
    const waiting = new WaitingFrames();
    let since = 0;
    for (const [camera, detector] of noise) {
      put(waiting, `c${camera % cameras}`, `d${detector}`, 0);
      put(waiting, 'steady', 'd', 0);
      since = waiting.take()?.offer.camera === 'steady' ? 0 : since + 1;
      expect(since).toBeLessThanOrEqual(cameras);
    }
  }));
});
