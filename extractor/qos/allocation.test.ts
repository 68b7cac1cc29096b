import fc from 'fast-check';
import { expect, test } from 'vitest';
import { allocate } from './allocation.ts';
import { costAt, fullFps, stepsOf } from './demand.ts';
import type { CameraDemand, DetectionStep } from './demand.ts';

const fps = fc.oneof(fc.constantFrom(0.2, 1, 5, 8, 15, 30, 60), fc.double({ min: 0.1, max: 60, noNaN: true }));
/** Of one detector: what a picture costs with its lighter models, none more than with the one before. */
const lighter = fc.array(fc.double({ min: 0.1, max: 1, noNaN: true }), { maxLength: 3 }).map((costs) => costs.toSorted((a, b) => b - a));
const demand = fc.record({ fps: fc.array(fps, { minLength: 1, maxLength: 4 }), light: fc.array(lighter, { maxLength: 4 }), preset: fc.constantFrom('auto', 'high', 'medium', 'low'), priority: fc.integer({ min: 1, max: 10 }) });
const demands = fc.array(demand, { maxLength: 30 }).map((all): CameraDemand[] => all.map((one, i) => ({ ...one, camera: `c${i}` })));
const capacity = fc.oneof(fc.constantFrom(0, Infinity), fc.double({ min: 0, max: 1500, noNaN: true }));

const level = ({ levels }: ReturnType<typeof allocate>, { camera }: CameraDemand): number => levels.get(camera) ?? NaN;
const step = (allocation: ReturnType<typeof allocate>, each: CameraDemand): DetectionStep => stepsOf(each)[level(allocation, each)] ?? { fps: NaN, light: NaN };
const given = (allocation: ReturnType<typeof allocate>, each: CameraDemand): number => step(allocation, each).fps;
const total = (all: readonly CameraDemand[], allocation: ReturnType<typeof allocate>): number => all.reduce((sum, each) => sum + costAt(each, step(allocation, each)), 0);

test('[EXT-4] no camera goes below one picture a second, unless it asks for less, and none above what it asks for and its setting allows', () => {
  fc.assert(fc.property(demands, capacity, (all, perSecond) => {
    const allocation = allocate(all, perSecond);
    for (const each of all) {
      expect(given(allocation, each)).toBeGreaterThanOrEqual(Math.min(1, fullFps(each)));
      expect(given(allocation, each)).toBeLessThanOrEqual(fullFps(each));
    }
  }));
});

test('[EXT-3] what is given fits, but for the least that everybody has; what comes next does not', () => {
  fc.assert(fc.property(demands, capacity, (all, perSecond) => {
    const allocation = allocate(all, perSecond);
    const least = total(all, allocate(all, 0));
    expect(total(all, allocation)).toBeLessThanOrEqual(Math.max(least, perSecond) + 1e-6);
    if (allocation.next === null) expect(total(all, allocation)).toBeCloseTo(total(all, allocate(all, Infinity)));
    else expect(allocation.next).toBeGreaterThan(perSecond);
  }));
});

test('[EXT-3] with more capacity no camera gets less', () => {
  fc.assert(fc.property(demands, capacity, capacity, (all, one, other) => {
    const [little, much] = [allocate(all, Math.min(one, other)), allocate(all, Math.max(one, other))];
    for (const each of all) {
      expect(level(much, each)).toBeLessThanOrEqual(level(little, each));
      expect(given(much, each)).toBeGreaterThanOrEqual(given(little, each));
      expect(step(much, each).light).toBeLessThanOrEqual(step(little, each).light);
    }
  }));
});

test('[EXT-4] of two cameras that ask for the same, the one of higher priority never gets less', () => {
  fc.assert(fc.property(demands, demand, fc.integer({ min: 1, max: 9 }), capacity, (others, asked, priority, perSecond) => {
    const low = { ...asked, camera: 'low', priority } as CameraDemand;
    const high = { ...low, camera: 'high', priority: priority + 1 };
    const allocation = allocate([...others, low, high], perSecond);
    expect(level(allocation, high)).toBeLessThanOrEqual(level(allocation, low));
  }));
});

test('what a camera gets does not depend on the order in which cameras are listed', () => {
  fc.assert(fc.property(demands, capacity, (all, perSecond) => {
    expect([...allocate(all.toReversed(), perSecond).levels].toSorted()).toEqual([...allocate(all, perSecond).levels].toSorted());
  }));
});

test('[EXT-4] the first to give way is the one of lowest priority; a setting is an upper bound', () => {
  const camera = (id: string, priority: number, preset: CameraDemand['preset'] = 'auto'): CameraDemand => ({ camera: id, fps: [15], preset, priority });
  const all = [camera('gate', 3), camera('press', 9), camera('yard', 5, 'low')];
  const fpsAt = (perSecond: number) => {
    const allocation = allocate(all, perSecond);
    return Object.fromEntries(all.map((each) => [each.camera, given(allocation, each)]));
  };
  expect(fpsAt(Infinity)).toEqual({ gate: 15, press: 15, yard: 8 });
  expect(fpsAt(37)).toEqual({ gate: 8, press: 15, yard: 8 });
  expect(fpsAt(20)).toEqual({ gate: 4, press: 8, yard: 8 });
  expect(fpsAt(0)).toEqual({ gate: 1, press: 1, yard: 1 });
});

test('[EXT-3] a camera with lighter models is lowered to 8 pictures a second, then to one model after the other, and only then further', () => {
  const camera: CameraDemand = { camera: 'a', fps: [15, 2], light: [[0.5, 0.25]], preset: 'auto', priority: 5 };
  const at = (perSecond: number) => step(allocate([camera], perSecond), camera);
  expect([17, 16.9, 9.9, 5.9, 3.9, 2.4, 0].map(at)).toEqual([
    { fps: 15, light: 0 }, { fps: 8, light: 0 }, { fps: 8, light: 1 }, { fps: 8, light: 2 }, { fps: 4, light: 2 }, { fps: 1, light: 2 }, { fps: 1, light: 2 },
  ]);
});

test('[EXT-3] a lighter model makes room for others: all of them keep 8 pictures a second where without it they would not', () => {
  const camera = (id: string, light: readonly number[]): CameraDemand => ({ camera: id, fps: [15], light: [light], preset: 'auto', priority: 5 });
  const run = (light: readonly number[]) => {
    const all = ['a', 'b', 'c', 'd'].map((id) => camera(id, light));
    const allocation = allocate(all, 18);
    return all.map((each) => given(allocation, each));
  };
  expect(run([])).toEqual([4, 4, 4, 4]);
  expect(run([0.5])).toEqual([8, 8, 8, 8]);
});
