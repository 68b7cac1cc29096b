import { expect, test } from 'vitest';
import { toCameraSpec } from '../../media-control/desired-state-store.ts';
import type { Scene } from '../../media-control/port.ts';
import type { DesiredCamera } from '../desired-state/service.ts';
import { toWireCamera } from './wire-state.ts';

test('[EXT-2][EXT-4] what bounds the rate of detectors and of publishers travels where it was set', () => {
  const camera: DesiredCamera = { id: 'a', name: 'A', source: { type: 'push' }, recording: 'off', controlJson: '{}', detectors: [] };
  expect(toWireCamera({ ...camera, qos: 'low', priority: 9, bandwidthHint: 500_000 })).toMatchObject({ qos: 'low', priority: 9, bandwidthHint: 500_000 });
  expect([toWireCamera(camera).qos, toWireCamera(camera).priority, toWireCamera(camera).bandwidthHint]).toEqual([undefined, undefined, undefined]);
});

test('[INF-6][EXT-3] a detector travels with what it is told: its own threshold or none, lighter models or none, tracking or not', () => {
  const { detectors } = toWireCamera({
    id: 'a', name: 'A', source: { type: 'push' }, recording: 'off', controlJson: '{}',
    detectors: [{ id: 'd', model: 'm', fps: 15, confidence: null }, { id: 'e', model: 'n', fps: 5, confidence: 0.5, light: ['o', 'p'], tracking: false }],
  });
  expect(detectors).toMatchObject([{ id: 'd', model: 'm', fps: 15, light: [], trackingOff: false }, { id: 'e', model: 'n', fps: 5, confidence: 0.5, light: ['o', 'p'], trackingOff: true }]);
  expect(detectors[0]?.confidence).toBeUndefined();
});

test('[PRO-2] which codes are read comes to the edge as it was set; kinds that it does not know are left out', () => {
  const camera: DesiredCamera = { id: 'a', name: 'A', source: { type: 'push' }, recording: 'off', controlJson: '{}', detectors: [] };
  const codes = { fps: 0.5, formats: ['qr', 'ean_13'] as const, repeatMs: 30_000 };
  const wire = toWireCamera({ ...camera, codes });
  expect(toCameraSpec(wire).codes).toEqual(codes);
  wire.codes?.formats.push('of a later version');
  expect(toCameraSpec(wire).codes).toEqual(codes);
  expect(toCameraSpec(toWireCamera({ ...camera, codes: { ...codes, formats: [] } }))).not.toHaveProperty('codes');
  expect(toCameraSpec(toWireCamera(camera))).not.toHaveProperty('codes');
});

test('[INF-6] a scene comes to the edge as it was set', () => {
  const scene: Scene = {
    classes: ['person'], zonesOnly: true, anchor: 'centre', zones: [{ id: 'z', polygon: [[0, 0], [1, 0], [1, 1]] }], lines: [{ id: 'l', from: [0, 0.5], to: [1, 0.5] }],
    rules: [
      { type: 'count', id: 'a', classes: [], minConfidence: 0.5, zone: 'z', atLeast: 2, forMs: 100, clearMs: 200 }, { type: 'count', id: 'b', classes: ['x'], minConfidence: 0, zone: null, atLeast: 1, forMs: 0, clearMs: 0 },
      { type: 'dwell', id: 'c', classes: [], minConfidence: 0, zone: null, forMs: 100, clearMs: 200 }, { type: 'cross', id: 'd', classes: [], minConfidence: 0, line: 'l', direction: 'to_left' },
    ],
  };
  const detectors = [{ id: 'd', model: 'm', fps: 15, confidence: null, light: ['n'], scene }];
  expect(toCameraSpec(toWireCamera({ id: 'a', name: 'A', source: { type: 'push' }, recording: 'off', controlJson: '{}', detectors })).detectors).toEqual(detectors);
});
