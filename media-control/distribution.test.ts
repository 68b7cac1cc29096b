import { expect, test } from 'vitest';
import { DesiredStateDistribution } from './distribution.ts';
import type { CameraSpec } from './port.ts';

const spec = (id: string, to: 'on' | 'off'): CameraSpec => ({ id, name: id, source: { type: 'push' }, detectors: [], recording: 'always', ...(to === 'off' && { distribution: to }) });

/** A desired state that can be replaced. */
const states = () => {
  let cameras: readonly CameraSpec[] = [];
  const listeners = new Set<() => void>();
  return {
    listeners,
    cameras: () => cameras,
    camera: (id: string) => cameras.find((camera) => camera.id === id),
    onChange: (listener: () => void) => { listeners.add(listener); return { [Symbol.dispose]: () => { listeners.delete(listener); } }; },
    apply: (...next: readonly CameraSpec[]) => { cameras = next; for (const listener of listeners) listener(); },
  };
};

test('[SD-53] who is switched is told once, in the state that follows the switch; what else changes tells nobody', () => {
  const source = states();
  source.apply(spec('a', 'off'), spec('b', 'on'));
  const distribution = new DesiredStateDistribution(source);
  const told: string[] = [];
  const listening = distribution.onSwitched((camera) => { told.push(`${camera} ${distribution.isOff(camera) ? 'off' : 'on'}`); });
  expect([distribution.isOff('a'), distribution.isOff('b'), distribution.isOff('nobody')]).toEqual([true, false, false]);
  source.apply(spec('a', 'off'), { ...spec('b', 'on'), name: 'renamed' });
  expect(told).toEqual([]);
  source.apply(spec('a', 'on'), spec('b', 'off'), spec('c', 'off'));
  expect(told).toEqual(['a on', 'b off', 'c off']);
  source.apply(spec('a', 'on')); // b and c are removed: that is another matter
  source.apply(spec('a', 'on'), spec('b', 'on'));
  expect(told).toHaveLength(3);
  listening[Symbol.dispose]();
  source.apply(spec('a', 'off'));
  expect(told).toHaveLength(3);
  distribution[Symbol.dispose]();
  expect(source.listeners.size).toBe(0);
});
