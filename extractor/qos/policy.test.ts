import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Measured } from './capacity.ts';
import { fullFps, stepsOf } from './demand.ts';
import type { CameraDemand } from './demand.ts';
import { INITIAL, LEAST_MS_DOWN, LEAST_MS_UP, decide } from './policy.ts';

const measured = fc.record({
  seconds: fc.integer({ min: 1, max: 3 }), delivered: fc.nat(2000), waited: fc.nat(2000), lost: fc.nat(2000), units: fc.nat(300), late: fc.nat(100), waitMs: fc.double({ min: 0, max: 1000, noNaN: true }), cpu: fc.double({ min: 0, max: 1, noNaN: true }),
}) satisfies fc.Arbitrary<Measured>;
const demand = fc.record({ fps: fc.array(fc.constantFrom(0.5, 4, 10, 15, 30, 60), { minLength: 1, maxLength: 3 }), preset: fc.constantFrom<CameraDemand['preset']>('auto', 'high', 'medium', 'low'), priority: fc.integer({ min: 1, max: 10 }) });
const rounds = fc.array(fc.record({ measured, after: fc.integer({ min: 100, max: 12_000 }) }), { maxLength: 60 });

test('[EXT-3] whatever is measured: one step at a time, down no sooner than 3 s after the last and up no sooner than 10 s, never below 1 fps nor above what is asked for', () => {
  fc.assert(fc.property(fc.array(demand, { minLength: 1, maxLength: 8 }), rounds, (asked, all) => {
    const demands = asked.map((each, i): CameraDemand => ({ ...each, camera: `c${i}` }));
    const steppedAt = new Map<string, number>();
    let [state, now] = [INITIAL, 0];
    for (const round of all) {
      now += round.after;
      const before = state;
      const decided = decide(state, demands, round.measured, now);
      ({ state } = decided);
      for (const each of demands) {
        const fps = state.cameras.get(each.camera)?.fps ?? NaN;
        expect(fps).toBeGreaterThanOrEqual(Math.min(1, fullFps(each)));
        expect(fps).toBeLessThanOrEqual(fullFps(each));
      }
      for (const { camera, from, to } of decided.changes) {
        const steps = stepsOf(demands.find((each) => each.camera === camera) as CameraDemand);
        expect(from).toBe(before.cameras.get(camera)?.fps ?? steps[0]);
        expect(Math.abs(steps.indexOf(from) - steps.indexOf(to))).toBe(1);
        expect(now - (steppedAt.get(camera) ?? -Infinity)).toBeGreaterThanOrEqual(to < from ? LEAST_MS_DOWN : LEAST_MS_UP);
        steppedAt.set(camera, now);
      }
    }
  }));
});

const camera = (over: Partial<CameraDemand> = {}): CameraDemand => ({ camera: 'a', fps: [15], preset: 'auto', priority: 5, ...over });
const quiet: Measured = { seconds: 3, delivered: 45, waited: 45, lost: 0, units: 90, late: 0, waitMs: 5, cpu: 0.2 };
/** Rounds of three seconds. */
const play = (demands: readonly CameraDemand[], all: readonly Partial<Measured>[], start = INITIAL) => {
  let [state, now] = [start, 0];
  const changes = all.flatMap((over) => {
    now += 3000;
    const decided = decide(state, demands, { ...quiet, ...over }, now);
    ({ state } = decided);
    return decided.changes.map(({ to, cause }) => `${to} ${cause}`);
  });
  return { state, changes };
};

test.each<[string, Partial<Measured>, string]>([
  ['pictures the workers have no room for', { delivered: 40, lost: 5 }, '8 worker_busy'],
  ['a standing queue', { waitMs: 400 }, '8 queue_wait'],
  ['an extractor that comes to its pictures too late', { late: 10 }, '8 extractor_busy'],
  ['a machine without idle time', { late: 10, cpu: 0.99 }, '8 cpu_busy'],
])('[EXT-3] the rate is lowered, and the cause told: %s', (_, overload, change) => {
  expect(play([camera()], [overload, overload]).changes).toEqual([change]);
});

test('[EXT-3] a moment\'s stall lowers nothing, nor do single losses; no doubt is waited for when half of all is lost', () => {
  expect(play([camera()], [{ delivered: 40, lost: 5 }, {}, { delivered: 40, lost: 5 }, {}]).changes).toEqual([]);
  expect(play([camera()], Array.from({ length: 20 }, () => ({ lost: 2 }))).changes).toEqual([]);
  expect(play([camera()], Array.from({ length: 20 }, () => ({ delivered: 40, lost: 5, waited: 10 }))).changes).toEqual([]);
  expect(play([camera()], [{ delivered: 20, lost: 25 }]).changes).toEqual(['8 worker_busy']);
});

test('[EXT-3] a machine without idle time raises one camera by one step at a time, one with idle time more and more', () => {
  const all = Array.from({ length: 12 }, (_, i) => camera({ camera: `c${String(i).padStart(2, '0')}` }));
  const raised = (cpu: number): number[] => {
    let [{ state }, now] = [play(all, [{ delivered: 45, lost: 400 }, { delivered: 45, lost: 400 }, { delivered: 45, lost: 400 }, { delivered: 45, lost: 400 }]), 12_000];
    return Array.from({ length: 9 }, () => {
      now += 3000;
      const running = [...state.cameras.values()].reduce((sum, { fps }) => sum + fps, 0);
      const decided = decide(state, all, { ...quiet, delivered: 3 * running, cpu }, now);
      ({ state } = decided);
      return decided.changes.length;
    });
  };
  expect(raised(0.99)).toEqual([0, 0, 0, 1, 1, 1, 1, 1, 1]);
  expect(raised(0.5)).toEqual([0, 0, 0, 2, 3, 7, 0, 1, 4]);
});

test('[EXT-2] a setting counts at once and is told as such; one that is lifted does not lift what overload took', () => {
  const { state } = play([camera()], [{ delivered: 14, lost: 31 }, { delivered: 14, lost: 10 }]);
  expect(state.cameras.get('a')).toMatchObject({ lowered: 4, fps: 4, full: 15 });
  const fresh = play([camera()], [{}]).state;
  const low = decide(fresh, [camera({ preset: 'low' })], quiet, 6000);
  expect(low.changes).toEqual([{ camera: 'a', from: 15, to: 8, full: 8, cause: 'settings' }]);
  expect(decide(low.state, [camera()], quiet, 9000).changes).toEqual([{ camera: 'a', from: 8, to: 15, full: 15, cause: 'settings' }]);
  expect(decide(state, [camera({ fps: [30] })], quiet, 9000).state.cameras.get('a')).toMatchObject({ lowered: 4, fps: 4, full: 30 });
});

test('[EXT-3] while pictures are lost nobody is raised, though there is room by what is measured', () => {
  const { state } = play([camera()], [{ delivered: 2, lost: 43 }, { delivered: 2, lost: 20 }]);
  expect(decide(state, [camera()], { ...quiet, lost: 45 }, 100_000)).toMatchObject({ changes: [], state: { capacity: { perSecond: 13.5 } } });
});

test('[EXT-3] a worker that hangs lowers nothing, and nothing is raised before pictures get through again', () => {
  expect(play([camera()], [{ delivered: 0, lost: 45 }, { delivered: 0, lost: 45 }, {}]).changes).toEqual([]);
  const { state } = play([camera()], [{ delivered: 2, lost: 43 }]);
  const silent = decide(state, [camera()], { ...quiet, delivered: 0, waited: 0 }, 100_000);
  expect(silent.state.capacity.perSecond).toBe(state.capacity.perSecond);
  expect(silent.changes.filter(({ to, from }) => to > from)).toEqual([]);
});

test('[EXT-3] what gets through without an overload is capacity: nobody is lowered further for what was measured before', () => {
  const { state } = play([camera({ fps: [30] })], [{ delivered: 6, lost: 84 }]);
  expect(state.cameras.get('a')?.fps).toBe(15);
  expect(decide(state, [camera({ fps: [30] })], quiet, 6000)).toMatchObject({ changes: [], state: { capacity: { perSecond: 15 } } });
});

test('[EXT-3] what overload took from a camera that is away stays taken while it may be back', () => {
  const { state } = play([camera()], [{ delivered: 14, lost: 31 }]);
  const alone = decide(state, [camera({ camera: 'b' })], quiet, 6000, (id) => id === 'a').state;
  expect(alone.cameras.get('a')).toMatchObject({ fps: 8, lowered: 8 });
  expect(decide(state, [camera({ camera: 'b' })], quiet, 6000).state.cameras.has('a')).toBe(false);
});

test('a camera that is gone is forgotten', () => {
  const { state } = play([camera()], [{ delivered: 2, lost: 43 }]);
  expect(decide(state, [], quiet, 10_000)).toMatchObject({ state: { cameras: new Map() }, changes: [] });
});
