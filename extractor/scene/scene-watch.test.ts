import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Detection } from '../../core/detection.ts';
import type { CountRule, CrossRule, DwellRule, Scene, SceneRule } from '../../media-control/port.ts';
import { SceneWatch, longestPause } from './scene-watch.ts';
import type { RuledFinding } from './scene-watch.ts';
import { LEFT_HALF, NOTHING, objectAt, pictureAt } from './testing-scene.ts';

const T0 = 1_750_000_000_000;
const COUNT: CountRule = { type: 'count', id: 'too-many', classes: [], minConfidence: 0, zone: 'left', atLeast: 2, forMs: 1000, clearMs: 500 };
const DWELL: DwellRule = { type: 'dwell', id: 'loiters', classes: ['person'], minConfidence: 0.5, zone: 'left', forMs: 2000, clearMs: 1000 };
const CROSS: CrossRule = { type: 'cross', id: 'gate', classes: [], minConfidence: 0, line: 'door', direction: 'both' };
/** From left to right through the middle. */
const DOOR = { id: 'door', from: [0.2, 0.5], to: [0.8, 0.5] } as const;
const sceneOf = (...rules: readonly SceneRule[]): Scene => ({ ...NOTHING, zones: [LEFT_HALF], lines: [DOOR], rules });

/** `phase at-since`, in ms after the first picture. */
const told = (findings: readonly RuledFinding[]): string[] => findings.map(({ finding: { phase, from, to, count } }) => `${phase} ${String(from - T0)}..${String(to - T0)} x${String(count)}`);
const show = (watch: SceneWatch, steps: readonly (readonly [number, ...Detection[]])[]): string[] => steps.flatMap(([ms, ...objects]) => told(watch.see(pictureAt(ms, ...objects)).findings));

describe('[INF-6] what is told of a picture', () => {
  test('objects of the classes asked for, with the zones in which their feet are', () => {
    const watch = new SceneWatch({ ...NOTHING, classes: ['person'], zones: [LEFT_HALF, { id: 'floor', polygon: [[0, 0.8], [1, 0.8], [1, 1], [0, 1]] }] });
    const { result } = watch.see(pictureAt(0, objectAt(100, 450), objectAt(700, 450, '2'), objectAt(700, 100, '3'), objectAt(100, 450, '4', 'dog')));
    expect(result.detections.map(({ trackId, zones }) => [trackId, zones])).toEqual([['1', ['left', 'floor']], ['2', ['floor']], ['3', []]]);
  });
  test('with zones_only, those in a zone alone; the anchor may be the centre', () => {
    const upper = { id: 'upper', polygon: [[0, 0], [1, 0], [1, 0.5], [0, 0.5]] } as const;
    // Its foot is below the middle of the picture, its centre above.
    const object = objectAt(300, 260);
    expect(new SceneWatch({ ...NOTHING, zonesOnly: true, zones: [upper] }).see(pictureAt(0, object)).result.detections).toEqual([]);
    expect(new SceneWatch({ ...NOTHING, zonesOnly: true, anchor: 'centre', zones: [upper] }).see(pictureAt(0, object)).result.detections).toEqual([{ ...object, zones: ['upper'] }]);
  });
  test('without a zone, objects say nothing of any', () => {
    expect(new SceneWatch({ ...NOTHING, classes: ['person'] }).see(pictureAt(0, objectAt(1, 1))).result.detections[0]).not.toHaveProperty('zones');
  });
});

describe('[INF-6] so many for so long', () => {
  const two = [objectAt(100, 100, '1'), objectAt(200, 100, '2')] as const;
  test('begins once it has been so for the time asked for, and ends when it was so last, not at once', () => {
    const watch = new SceneWatch(sceneOf(COUNT));
    expect(show(watch, [[0, ...two], [900, ...two]])).toEqual([]);
    expect(show(watch, [[1000, ...two]])).toEqual(['began 0..1000 x2']);
    expect(show(watch, [[1200, ...two, objectAt(300, 100, '3')], [1600, two[0]], [1699, two[0]]])).toEqual([]);
    expect(show(watch, [[1700, two[0]]])).toEqual(['ended 0..1200 x3']);
  });
  test('pictures in which one is missed do not begin it anew', () => {
    expect(show(new SceneWatch(sceneOf(COUNT)), [[0, ...two], [400, two[0]], [800, ...two], [1000, two[1]], [1200, ...two]])).toEqual(['began 0..1200 x2']);
  });
  test('how far apart pictures are does not matter, until nobody knows what was between them', () => {
    expect(show(new SceneWatch(sceneOf(COUNT)), [[0, ...two], [9_999, ...two], [19_999, ...two], [20_999, ...two]])).toEqual(['began 0..9999 x2', 'ended 0..9999 x2', 'began 19999..20999 x2']);
  });
  test('it is over after the time asked for, however long that is, as long as pictures come', () => {
    const watch = new SceneWatch(sceneOf({ ...COUNT, forMs: 0, clearMs: 60_000 }));
    const away = Array.from({ length: 11 }, (_, i) => [5_000 * (i + 1)] as const);
    expect(show(watch, [[0, ...two], ...away, [59_999, ...two]])).toEqual(['began 0..0 x2']);
    expect(show(watch, Array.from({ length: 13 }, (_, i) => [59_999 + 5_000 * (i + 1)] as const))).toEqual(['ended 0..59999 x2']);
  });
  test('a detector that sees little has longer pauses', () => {
    expect(show(new SceneWatch(sceneOf({ ...COUNT, forMs: 0 }), longestPause(0.05)), [[0, ...two], [20_000, ...two], [40_000, ...two]])).toEqual(['began 0..0 x2']);
    expect(longestPause(15)).toBe(10_000);
  });
  test('a longer pause does, and others than those meant do not count', () => {
    const watch = new SceneWatch(sceneOf({ ...COUNT, classes: ['person'], minConfidence: 0.5 }));
    expect(show(watch, [[0, ...two], [600], [700, ...two], [1500, ...two]])).toEqual([]);
    expect(show(watch, [[1700, ...two]])).toEqual(['began 700..1700 x2']);
    const others = [objectAt(100, 100, '1', 'dog'), objectAt(100, 100, '2', 'person', 0.4), objectAt(900, 100, '3'), objectAt(100, 100, '4')];
    expect(show(new SceneWatch(sceneOf({ ...COUNT, classes: ['person'], minConfidence: 0.5 })), [[0, ...others], [1000, ...others]])).toEqual([]);
  });
  test('for no time at all it is told with the first picture; tracking is not needed', () => {
    const watch = new SceneWatch(sceneOf({ ...COUNT, zone: null, atLeast: 1, forMs: 0 }));
    expect(show(watch, [[0, objectAt(900, 100, null)]])).toEqual(['began 0..0 x1']);
    expect(told(watch.end())).toEqual(['ended 0..0 x1']);
    expect(told(watch.end())).toEqual([]);
  });
});

describe('[INF-6] one stays for so long', () => {
  test('each object is told for itself, when it has stayed and when it has left', () => {
    const watch = new SceneWatch(sceneOf(DWELL));
    expect(show(watch, [[0, objectAt(100, 100, '1')], [500, objectAt(100, 100, '1'), objectAt(100, 100, '2')], [1400, objectAt(100, 100, '2')], [1500, objectAt(150, 100, '1'), objectAt(100, 100, '2')]])).toEqual([]);
    expect(show(watch, [[2000, objectAt(100, 100, '1'), objectAt(100, 100, '2')], [2500, objectAt(100, 100, '1'), objectAt(100, 100, '2')]])).toEqual(['began 0..2000 x1', 'began 500..2500 x1']);
    // 1 goes to the right half, 2 stays.
    expect(show(watch, [[3499, objectAt(900, 100, '1'), objectAt(100, 100, '2')]])).toEqual([]);
    expect(show(watch, [[3500, objectAt(900, 100, '1'), objectAt(100, 100, '2')], [4499], [4500]])).toEqual(['ended 0..2500 x1', 'ended 500..3500 x1']);
  });
  test('who comes back after leaving begins anew', () => {
    expect(show(new SceneWatch(sceneOf(DWELL)), [[0, objectAt(100, 100)], [1500, objectAt(900, 100)], [1800, objectAt(100, 100)], [2500, objectAt(100, 100)], [3500, objectAt(100, 100)], [3800, objectAt(100, 100)]])).toEqual(['began 1800..3800 x1']);
  });
  test('others than those meant, and those without an identity, do not stay', () => {
    const watch = new SceneWatch(sceneOf(DWELL));
    expect(show(watch, [0, 500, 1000, 1500, 2000, 2500].map((ms) => [ms, objectAt(100, 100, '1', 'dog'), objectAt(100, 100, '2', 'person', 0.4), objectAt(100, 100, null)] as const))).toEqual([]);
  });
});

describe('[INF-6] a line is crossed', () => {
  const walk = (watch: SceneWatch, ...points: readonly (readonly [number, number])[]) => points.flatMap(([x, y], i) => watch.see(pictureAt(i * 100, objectAt(x, y))).findings.map(({ finding }) => finding.direction));
  test('in one direction and the other, between its ends', () => {
    expect(walk(new SceneWatch(sceneOf(CROSS)), [500, 200], [500, 240], [500, 300], [500, 200])).toEqual(['to_right', 'to_left']);
    expect(walk(new SceneWatch(sceneOf(CROSS)), [100, 200], [100, 300])).toEqual([]);
    expect(walk(new SceneWatch(sceneOf({ ...CROSS, direction: 'to_left' })), [500, 200], [500, 300], [500, 200])).toEqual(['to_left']);
  });
  test('who stands on it crosses it once, however the box shakes', () => {
    expect(walk(new SceneWatch(sceneOf(CROSS)), [500, 200], [500, 252], [500, 248], [500, 253], [500, 247], [500, 251], [500, 300])).toEqual(['to_right']);
  });
  test('who has not been seen for long is another', () => {
    const watch = new SceneWatch(sceneOf(CROSS));
    expect(show(watch, [[0, objectAt(500, 200)], [10_000, objectAt(500, 300)], [10_100, objectAt(500, 200)]])).toEqual(['happened 10100..10100 x1']);
  });
  test('the only crossings told are those of a walk from one side to the other: they alternate', () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 1000 }), fc.integer({ min: 0, max: 500 })), { maxLength: 60 }), (points) => {
      const directions = walk(new SceneWatch({ ...sceneOf(CROSS), lines: [{ ...DOOR, from: [0, 0.5], to: [1, 0.5] }] }), ...points);
      expect(directions.every((direction, i) => i === 0 || direction !== directions[i - 1])).toBe(true);
      const sides = points.filter(([, y]) => Math.abs(y - 250) >= 5).map(([, y]) => y > 250);
      expect(directions.length).toBe(sides.filter((side, i) => i > 0 && side !== sides[i - 1]).length);
    }));
  });
});

test('[INF-6] a clock that is set back ends what went on, in its own time; jitter does not', () => {
  const watch = new SceneWatch(sceneOf({ ...COUNT, atLeast: 1, forMs: 0 }));
  expect(show(watch, [[60_000, objectAt(100, 100)], [59_980, objectAt(100, 100)], [60_100, objectAt(100, 100)]])).toEqual(['began 60000..60000 x1']);
  expect(show(watch, [[1_000, objectAt(100, 100)]])).toEqual(['ended 60000..60100 x1', 'began 1000..1000 x1']);
});

test('[INF-6] whatever is seen, what ends has begun, once, and nothing goes on after the end', () => {
  const object = fc.tuple(fc.integer({ min: 0, max: 1000 }), fc.integer({ min: 0, max: 500 }), fc.option(fc.integer({ min: 1, max: 6 })), fc.constantFrom('person', 'dog')).map(([x, y, track, name]) => objectAt(x, y, track === null ? null : String(track), name));
  const step = fc.record({ after: fc.integer({ min: -20_000, max: 3_000 }), objects: fc.array(object, { maxLength: 6 }) });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const watch = new SceneWatch(sceneOf(COUNT, DWELL, CROSS));
    let ms = 0;
    const findings = steps.flatMap(({ after, objects }) => watch.see(pictureAt((ms = Math.max(0, ms + after)), ...objects)).findings);
    const open = new Set<string>();
    for (const { rule, finding: { phase, occurrence, from, to } } of [...findings, ...watch.end()]) {
      expect(to).toBeGreaterThanOrEqual(from);
      const key = `${rule.id} ${String(occurrence)}`;
      if (phase === 'began') expect(open.has(key)).toBe(false);
      if (phase === 'ended') expect(open.has(key)).toBe(true);
      if (phase === 'began') open.add(key);
      else open.delete(key);
    }
    expect(open.size).toBe(0);
  }), { numRuns: 300 });
});
