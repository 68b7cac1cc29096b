import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Measured } from './capacity.ts';
import { costAt, fullFps, stepsOf } from './demand.ts';
import type { CameraDemand, DetectionStep } from './demand.ts';
import { INITIAL, LEAST_MS_DOWN, LEAST_MS_UP, decide } from './policy.ts';

const measured = fc.record({
  seconds: fc.integer({ min: 1, max: 3 }), delivered: fc.nat(2000), work: fc.double({ min: 0, max: 2000, noNaN: true }), waited: fc.nat(2000), lost: fc.nat(2000), units: fc.nat(300), late: fc.nat(100), waitMs: fc.double({ min: 0, max: 1000, noNaN: true }), cpu: fc.double({ min: 0, max: 1, noNaN: true }),
}) satisfies fc.Arbitrary<Measured>;
const lighter = fc.array(fc.double({ min: 0.1, max: 1, noNaN: true }), { maxLength: 3 }).map((costs) => costs.toSorted((a, b) => b - a));
const demand = fc.record({ fps: fc.array(fc.constantFrom(0.5, 4, 10, 15, 30, 60), { minLength: 1, maxLength: 3 }), light: fc.array(lighter, { maxLength: 3 }), preset: fc.constantFrom<CameraDemand['preset']>('auto', 'high', 'medium', 'low'), priority: fc.integer({ min: 1, max: 10 }) });
const NONE: DetectionStep = { fps: NaN, light: NaN };
const levelAt = (steps: readonly DetectionStep[], { fps, light }: DetectionStep): number => steps.findIndex((step) => step.fps === fps && step.light === light);
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
        const fps = state.cameras.get(each.camera)?.told.fps ?? NaN;
        expect(fps).toBeGreaterThanOrEqual(Math.min(1, fullFps(each)));
        expect(fps).toBeLessThanOrEqual(fullFps(each));
      }
      for (const { camera, from, to } of decided.changes) {
        const steps = stepsOf(demands.find((each) => each.camera === camera) as CameraDemand);
        expect(from).toEqual(before.cameras.get(camera)?.told ?? steps[0]);
        const [level, reached] = [levelAt(steps, from), levelAt(steps, to)];
        expect(Math.abs(level - reached)).toBe(1);
        expect(now - (steppedAt.get(camera) ?? -Infinity)).toBeGreaterThanOrEqual(reached > level ? LEAST_MS_DOWN : LEAST_MS_UP);
        steppedAt.set(camera, now);
      }
    }
  }));
});

test('[EXT-3] fewer pictures come before lighter models, down to 8 a second, and lighter models before fewer still', () => {
  fc.assert(fc.property(demand, ({ fps, light, preset }) => {
    const steps = stepsOf({ fps, light, preset });
    const lightest = Math.max(0, ...light.map(({ length }) => length));
    expect(steps[0]).toEqual({ fps: fullFps({ fps, preset }), light: 0 });
    expect(steps.at(-1)?.light).toBe(lightest);
    for (const [i, step] of steps.slice(1).entries()) {
      const above = steps[i] ?? NONE;
      expect([[1, 0], [0, 1]]).toContainEqual([Number(step.fps < above.fps), step.light - above.light]); // one of the two
      if (step.fps < above.fps) expect(step.light).toBe(step.fps >= 8 ? 0 : lightest);
      expect(costAt({ fps, light }, step)).toBeLessThanOrEqual(costAt({ fps, light }, above));
    }
  }));
});

const camera = (over: Partial<CameraDemand> = {}): CameraDemand => ({ camera: 'a', fps: [15], preset: 'auto', priority: 5, ...over });
const at = (fps: number, light = 0): DetectionStep => ({ fps, light });
const quiet: Measured = { seconds: 3, delivered: 45, work: 45, waited: 45, lost: 0, units: 90, late: 0, waitMs: 5, cpu: 0.2 };
/** With no lighter model in use. */
const counted = (over: Partial<Measured>): Measured => ({ ...quiet, work: over.delivered ?? quiet.work, ...over });
/** Rounds of three seconds. */
const play = (demands: readonly CameraDemand[], all: readonly Partial<Measured>[], start = INITIAL) => {
  let [state, now] = [start, 0];
  const changes = all.flatMap((over) => {
    now += 3000;
    const decided = decide(state, demands, counted(over), now);
    ({ state } = decided);
    return decided.changes.map(({ to, cause }) => `${to.fps}${to.light > 0 ? ` light ${to.light}` : ''} ${cause}`);
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
      const running = [...state.cameras.values()].reduce((sum, { told }) => sum + told.fps, 0);
      const decided = decide(state, all, counted({ delivered: 3 * running, cpu }), now);
      ({ state } = decided);
      return decided.changes.length;
    });
  };
  expect(raised(0.99)).toEqual([0, 0, 0, 1, 1, 1, 1, 1, 1]);
  expect(raised(0.5)).toEqual([0, 0, 0, 2, 3, 7, 0, 1, 4]);
});

test('[EXT-2] a setting counts at once and is told as such; one that is lifted does not lift what overload took', () => {
  const { state } = play([camera()], [{ delivered: 14, lost: 31 }, { delivered: 14, lost: 10 }]);
  expect(state.cameras.get('a')).toMatchObject({ lowered: at(4), told: at(4), full: 15 });
  const fresh = play([camera()], [{}]).state;
  const low = decide(fresh, [camera({ preset: 'low' })], quiet, 6000);
  expect(low.changes).toEqual([{ camera: 'a', from: at(15), to: at(8), full: 8, cause: 'settings' }]);
  expect(decide(low.state, [camera()], quiet, 9000).changes).toEqual([{ camera: 'a', from: at(8), to: at(15), full: 15, cause: 'settings' }]);
  expect(decide(state, [camera({ fps: [30] })], quiet, 9000).state.cameras.get('a')).toMatchObject({ lowered: at(4), told: at(4), full: 30 });
});

test('[EXT-3] while pictures are lost nobody is raised, though there is room by what is measured', () => {
  const { state } = play([camera()], [{ delivered: 2, lost: 43 }, { delivered: 2, lost: 20 }]);
  expect(decide(state, [camera()], { ...quiet, lost: 45 }, 100_000)).toMatchObject({ changes: [], state: { capacity: { perSecond: 13.5 } } });
});

test('[EXT-3] a worker that hangs lowers nothing, and nothing is raised before pictures get through again', () => {
  expect(play([camera()], [{ delivered: 0, lost: 45 }, { delivered: 0, lost: 45 }, {}]).changes).toEqual([]);
  const { state } = play([camera()], [{ delivered: 2, lost: 43 }]);
  const silent = decide(state, [camera()], counted({ delivered: 0, waited: 0 }), 100_000);
  expect(silent.state.capacity.perSecond).toBe(state.capacity.perSecond);
  expect(silent.changes.filter(({ to, from }) => to.fps > from.fps)).toEqual([]);
});

test('[EXT-3] what gets through without an overload is capacity: nobody is lowered further for what was measured before', () => {
  const { state } = play([camera({ fps: [30] })], [{ delivered: 6, lost: 84 }]);
  expect(state.cameras.get('a')?.told.fps).toBe(15);
  expect(decide(state, [camera({ fps: [30] })], quiet, 6000)).toMatchObject({ changes: [], state: { capacity: { perSecond: 15 } } });
});

test('[EXT-3] what overload took from a camera that is away stays taken while it may be back', () => {
  const { state } = play([camera()], [{ delivered: 14, lost: 31 }]);
  const alone = decide(state, [camera({ camera: 'b' })], quiet, 6000, (id) => id === 'a').state;
  expect(alone.cameras.get('a')).toMatchObject({ told: at(8), lowered: at(8) });
  expect(decide(state, [camera({ camera: 'b' })], quiet, 6000).state.cameras.has('a')).toBe(false);
});

test('a camera that is gone is forgotten', () => {
  const { state } = play([camera()], [{ delivered: 2, lost: 43 }]);
  expect(decide(state, [], quiet, 10_000)).toMatchObject({ state: { cameras: new Map() }, changes: [] });
});

describe('with lighter models', () => {
  const lighter = (over: Partial<CameraDemand> = {}): CameraDemand => camera({ light: [[0.5, 0.3]], ...over });
  const busy = { delivered: 1, lost: 44 };

  test('[EXT-3] under lasting overload: fewer pictures, then lighter models, then fewer still, each told with its cause; and back the same way', () => {
    const { state, changes } = play([lighter()], [busy, busy, busy, busy, busy, busy, busy]);
    expect(changes).toEqual(['8 worker_busy', '8 light 1 worker_busy', '8 light 2 worker_busy', '4 light 2 worker_busy', '2 light 2 worker_busy', '1 light 2 worker_busy']);
    const back = play([lighter()], Array.from({ length: 60 }, () => ({ delivered: 20, work: 20 })), state);
    expect(back.changes).toEqual(['2 light 2 recovered', '4 light 2 recovered', '8 light 2 recovered', '8 light 1 recovered', '8 recovered', '15 recovered']);
  });

  test('[EXT-3] what pictures cost with the lighter model is what capacity is measured by: a camera is not lowered further than fits', () => {
    const { state } = play([lighter()], [{ delivered: 13, lost: 32 }, { delivered: 13, lost: 11 }]);
    expect(state.cameras.get('a')).toMatchObject({ lowered: at(8, 1) });
    // 24 pictures of half a picture's cost are more than the 3.9 a second that got through: all the same nobody is lowered without an overload.
    expect(play([lighter()], Array.from({ length: 3 }, () => ({ delivered: 24, work: 12 })), state).changes).toEqual([]);
  });

  test('[EXT-3] a lighter model that is gone is no step any more, at once; one that comes does not raise a camera that is further down', () => {
    const { state } = play([lighter()], [busy, busy, busy]);
    expect(state.cameras.get('a')).toMatchObject({ lowered: at(8, 2) });
    expect(decide(state, [lighter({ light: [[0.5]] })], quiet, 10_000).changes).toEqual([{ camera: 'a', from: at(8, 2), to: at(8, 1), full: 15, cause: 'settings' }]);
    expect(decide(state, [camera()], quiet, 10_000).changes).toEqual([{ camera: 'a', from: at(8, 2), to: at(8), full: 15, cause: 'settings' }]);
    const without = play([camera()], [busy, busy, busy]).state;
    expect(without.cameras.get('a')).toMatchObject({ lowered: at(2) });
    expect(decide(without, [lighter()], quiet, 10_000).changes).toEqual([{ camera: 'a', from: at(2), to: at(2, 2), full: 15, cause: 'settings' }]);
  });

  test('[EXT-2] a setting is an upper bound of the rate, whatever models there are', () => {
    const { state } = play([lighter({ preset: 'low' })], [busy]);
    expect(state.cameras.get('a')).toMatchObject({ lowered: at(8, 1), full: 8 });
    expect(decide(state, [lighter({ preset: 'high' })], quiet, 5_000).state.cameras.get('a')).toMatchObject({ told: at(8, 1), full: 15 });
  });
});
