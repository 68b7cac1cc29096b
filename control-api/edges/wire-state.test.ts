import { expect, test } from 'vitest';
import type { DesiredCamera } from '../desired-state/service.ts';
import { toWireCamera } from './wire-state.ts';

test('[EXT-2][EXT-4] what bounds the rate of detectors travels where it was set', () => {
  const camera: DesiredCamera = { id: 'a', name: 'A', source: { type: 'push' }, recording: 'off', controlJson: '{}', detectors: [] };
  expect(toWireCamera({ ...camera, qos: 'low', priority: 9 })).toMatchObject({ qos: 'low', priority: 9 });
  expect([toWireCamera(camera).qos, toWireCamera(camera).priority]).toEqual([undefined, undefined]);
});

test('[INF-6] a detector travels with what it is told: its own threshold or none, tracking or not', () => {
  const { detectors } = toWireCamera({
    id: 'a', name: 'A', source: { type: 'push' }, recording: 'off', controlJson: '{}',
    detectors: [{ id: 'd', model: 'm', fps: 15, confidence: null }, { id: 'e', model: 'n', fps: 5, confidence: 0.5, tracking: false }],
  });
  expect(detectors).toMatchObject([{ id: 'd', model: 'm', fps: 15, trackingOff: false }, { id: 'e', model: 'n', fps: 5, confidence: 0.5, trackingOff: true }]);
  expect(detectors[0]?.confidence).toBeUndefined();
});
