import fc from 'fast-check';
import { expect, test } from 'vitest';
import { allocate } from './allocation.ts';
import { fullFps, rateAt } from './demand.ts';
import type { CameraDemand } from './demand.ts';

const fps = fc.oneof(fc.constantFrom(0.2, 1, 5, 8, 15, 30, 60), fc.double({ min: 0.1, max: 60, noNaN: true }));
const demand = fc.record({ fps: fc.array(fps, { minLength: 1, maxLength: 4 }), preset: fc.constantFrom('auto', 'high', 'medium', 'low'), priority: fc.integer({ min: 1, max: 10 }) });
const demands = fc.array(demand, { maxLength: 30 }).map((all): CameraDemand[] => all.map((one, i) => ({ ...one, camera: `c${i}` })));
const capacity = fc.oneof(fc.constantFrom(0, Infinity), fc.double({ min: 0, max: 1500, noNaN: true }));

const given = ({ fps: by }: ReturnType<typeof allocate>, { camera }: CameraDemand): number => by.get(camera) ?? NaN;
const total = (all: readonly CameraDemand[], allocation: ReturnType<typeof allocate>): number => all.reduce((sum, each) => sum + rateAt(each, given(allocation, each)), 0);

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
    for (const each of all) expect(given(much, each)).toBeGreaterThanOrEqual(given(little, each));
  }));
});

test('[EXT-4] of two cameras that ask for the same, the one of higher priority never gets less', () => {
  fc.assert(fc.property(demands, demand, fc.integer({ min: 1, max: 9 }), capacity, (others, asked, priority, perSecond) => {
    const low = { ...asked, camera: 'low', priority } as CameraDemand;
    const high = { ...low, camera: 'high', priority: priority + 1 };
    const allocation = allocate([...others, low, high], perSecond);
    expect(given(allocation, high)).toBeGreaterThanOrEqual(given(allocation, low));
  }));
});

test('what a camera gets does not depend on the order in which cameras are listed', () => {
  fc.assert(fc.property(demands, capacity, (all, perSecond) => {
    expect([...allocate(all.toReversed(), perSecond).fps].toSorted()).toEqual([...allocate(all, perSecond).fps].toSorted());
  }));
});

test('[EXT-4] the first to give way is the one of lowest priority; a setting is an upper bound', () => {
  const camera = (id: string, priority: number, preset: CameraDemand['preset'] = 'auto'): CameraDemand => ({ camera: id, fps: [15], preset, priority });
  const all = [camera('gate', 3), camera('press', 9), camera('yard', 5, 'low')];
  expect(Object.fromEntries(allocate(all, Infinity).fps)).toEqual({ gate: 15, press: 15, yard: 8 });
  expect(Object.fromEntries(allocate(all, 37).fps)).toEqual({ gate: 8, press: 15, yard: 8 });
  expect(Object.fromEntries(allocate(all, 20).fps)).toEqual({ gate: 4, press: 8, yard: 8 });
  expect(Object.fromEntries(allocate(all, 0).fps)).toEqual({ gate: 1, press: 1, yard: 1 });
});
