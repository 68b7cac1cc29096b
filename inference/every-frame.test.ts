import { expect, test } from 'vitest';
import { EveryFrame } from './every-frame.ts';
import type { WaitingFrame } from './waiting-frames.ts';

const frame = (camera: string, offeredAt: number): WaitingFrame => ({
  offeredAt, waitingSince: offeredAt,
  offer: { camera, detector: 'd', model: 'm', confidence: null, faintConfidence: null, frame: { stream: camera, epoch: 0, rtpTs: offeredAt, captureNtp: null, seq: offeredAt }, capturedAt: 0, sourceWidth: 1, sourceHeight: 1, pixels: { bytes: new Uint8Array(), [Symbol.dispose]: () => undefined } },
});

test('no picture gives way to another, and they are taken in order', () => {
  const frames = new EveryFrame();
  const all = [frame('a', 1), frame('b', 2), frame('a', 3), frame('a', 4)];
  for (const each of all) frames.put(each);
  expect(frames.take()).toBe(all[0]);
  expect(frames.takeAll('b')).toEqual([all[1]]);
  expect(frames.takeOlderThan(4)).toEqual([all[2]]);
  expect(frames.takeAll()).toEqual([all[3]]);
  expect(frames.take()).toBeUndefined();
});
