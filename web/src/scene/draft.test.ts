import { expect, test } from 'vitest';
import { addLine, addRule, addZone, classesOf, insertCorner, moveCorner, moveEnd, removeCorner, removeLine, removeZone, renameLine, renameZone, sceneOf, turnLine, withScene } from './draft.ts';
import type { Pipeline } from './draft.ts';

const both = addLine(addZone(sceneOf('detect')));
const full = addRule(addRule(addRule(both, 'count'), 'dwell'), 'cross');

test('[INF-6] what is added has a name of its own, and a rule is about what there is', () => {
  expect(addZone(both).zones.map(({ id }) => id)).toEqual(['Zone', 'Zone 2']);
  expect(full.rules).toMatchObject([{ id: 'Count', zone: 'Zone', at_least: 1 }, { id: 'Stay', zone: 'Zone', for_seconds: 10 }, { id: 'Crossing', line: 'Line', direction: 'both' }]);
  expect(addRule(addZone(sceneOf('detect')), 'cross').rules).toEqual([]);
  expect(addRule(sceneOf('detect'), 'count').rules[0]).not.toHaveProperty('zone');
});

test('[INF-6] rules follow the names of zones and lines, and go with them', () => {
  expect(renameZone(full, 'Zone', 'press').rules.map((rule) => (rule.type === 'cross' ? rule.line : rule.zone))).toEqual(['press', 'press', 'Line']);
  expect(renameLine(full, 'Line', 'gate').rules[2]).toMatchObject({ line: 'gate' });
  expect(renameZone(addZone(full), 'Zone', 'Zone 2').zones.map(({ id }) => id)).toEqual(['Zone', 'Zone 2']);
  expect(renameZone(full, 'Zone', '')).toBe(full);
  expect(removeZone(full, 'Zone').rules.map(({ id }) => id)).toEqual(['Crossing']);
  expect(removeLine(full, 'Line').rules.map(({ id }) => id)).toEqual(['Count', 'Stay']);
});

test('[INF-6] corners and ends stay within the picture, and a zone keeps three corners', () => {
  expect(moveCorner(both, 'Zone', 1, [1.2, -0.1]).zones[0]?.polygon[1]).toEqual([1, 0]);
  expect(moveEnd(both, 'Line', 'to', [0.123456, 2]).lines[0]?.to).toEqual([0.1235, 1]);
  expect(insertCorner(both, 'Zone', 3, [0.2, 0.5]).zones[0]?.polygon).toEqual([[0.3, 0.3], [0.7, 0.3], [0.7, 0.7], [0.3, 0.7], [0.2, 0.5]]);
  const triangle = removeCorner(both, 'Zone', 0);
  expect(triangle.zones[0]?.polygon.length).toBe(3);
  expect(removeCorner(triangle, 'Zone', 0).zones[0]?.polygon.length).toBe(3);
  expect(turnLine(both, 'Line').lines[0]).toEqual({ id: 'Line', from: [0.7, 0.5], to: [0.3, 0.5] });
});

test('[INF-6] the scene of one detector is replaced, and nothing else of the camera', () => {
  const pipelines: readonly Pipeline[] = ['detect', { id: 'inspect', fps: 5 } as Pipeline];
  expect(withScene(pipelines, 'inspect', { ...full, zones_only: true })).toMatchObject(['detect', { id: 'inspect', fps: 5, zones_only: true, zones: [{ id: 'Zone' }] }]);
  expect(withScene(pipelines, 'detect', { ...sceneOf('detect'), zones_only: true })[0]).toMatchObject({ id: 'detect', zones_only: false });
});

test('[INF-6] classes are listed with commas', () => { expect(classesOf(' person, dog,,person ')).toEqual(['person', 'dog']); });
