import { expect, test } from 'vitest';
import { FakeClock } from '../../core/testing-clock.ts';
import type { DetectorSpec, RuleFinding, Scene } from '../../media-control/port.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { CameraScene, MAX_TOLD_PER_MINUTE } from './camera-scene.ts';
import { LEFT_HALF, NOTHING, objectAt, pictureAt } from './testing-scene.ts';

const SCENE: Scene = {
  ...NOTHING, zones: [LEFT_HALF], lines: [{ id: 'door', from: [0, 0.5], to: [1, 0.5] }],
  rules: [
    { type: 'count', id: 'someone', classes: [], minConfidence: 0, zone: 'left', atLeast: 1, forMs: 0, clearMs: 0 },
    { type: 'cross', id: 'gate', classes: [], minConfidence: 0, line: 'door', direction: 'both' },
  ],
};
const detector = (scene?: Scene): DetectorSpec => ({ id: 'detect', model: 'nanodet', fps: 15, confidence: null, ...(scene && { scene }) });

const begin = () => {
  const clock = new FakeClock();
  const findings: RuleFinding[] = [];
  const metrics = createMetrics('edge');
  const scene = new CameraScene({ camera: 'line-1', clock, metrics, onFinding: (finding) => { findings.push(finding); } });
  return { clock, findings, scene, metrics };
};

test('[INF-6] what begins and what ends have one id, and name the picture and the model that saw it; another time is another id', () => {
  const { scene, findings } = begin();
  scene.follow([detector(SCENE)]);
  scene.see('detect', pictureAt(0, objectAt(100, 100)));
  scene.see('detect', { ...pictureAt(100), model: 'lighter' });
  scene.see('detect', pictureAt(200, objectAt(100, 100)));
  expect(findings).toMatchObject([
    { phase: 'began', camera: 'line-1', detector: 'detect', model: 'm', rule: 'someone', type: 'count', place: 'left', count: 1, classes: ['person'], tracks: ['1'], direction: null, epoch: 1, rtpTs: 0 },
    { phase: 'ended', id: findings[0]?.id, model: 'lighter', rtpTs: 9000 },
    { phase: 'began', model: 'm', rtpTs: 18_000 },
  ]);
  expect(findings[2]?.id).not.toBe(findings[0]?.id);
});

test('[INF-6] without a scene results are told as they are', () => {
  const { scene } = begin();
  scene.follow([detector()]);
  const result = pictureAt(0, objectAt(100, 100));
  expect(scene.see('detect', result)).toBe(result);
});

test('[INF-6] when no picture comes for ten seconds, when the scene changes, and when the camera goes, it has ended', () => {
  const { scene, findings, clock } = begin();
  const phases = (): string[] => findings.splice(0).map(({ phase }) => phase);
  scene.follow([detector(SCENE)]);
  scene.see('detect', pictureAt(0, objectAt(100, 100)));
  clock.advance(9_999);
  scene.tick();
  expect(phases()).toEqual(['began']);
  clock.advance(1);
  scene.tick();
  scene.tick();
  expect(phases()).toEqual(['ended']);
  scene.see('detect', pictureAt(20_000, objectAt(100, 100)));
  scene.follow([detector({ ...SCENE, anchor: 'centre' })]);
  expect(phases()).toEqual(['began', 'ended']);
  scene.see('detect', pictureAt(21_000, objectAt(100, 100)));
  scene.follow([detector({ ...SCENE, anchor: 'centre' })]);
  expect(phases()).toEqual(['began']);
  scene[Symbol.dispose]();
  expect(phases()).toEqual(['ended']);
});

test('[INF-6] a rule tells so much in a minute, and takes nothing from another; what is beyond is counted, and what began ends', async () => {
  const { scene, findings, clock, metrics } = begin();
  scene.follow([detector(SCENE)]);
  scene.see('detect', pictureAt(0, objectAt(100, 100)));
  for (let i = 0; i < MAX_TOLD_PER_MINUTE + 50; i++) scene.see('detect', pictureAt(i, objectAt(100, i % 2 === 0 ? 400 : 100)));
  expect(findings.length).toBe(1 + MAX_TOLD_PER_MINUTE);
  scene.see('detect', pictureAt(10_000));
  expect(findings.at(-1)).toMatchObject({ phase: 'ended', id: findings[0]?.id });
  expect((await metrics.ruleFindingsDropped.get()).values).toMatchObject([{ value: 50, labels: { camera: 'line-1' } }]);
  clock.advance(60_000);
  scene.see('detect', pictureAt(70_000, objectAt(100, 100)));
  expect(findings.at(-1)).toMatchObject({ phase: 'began' });
});
