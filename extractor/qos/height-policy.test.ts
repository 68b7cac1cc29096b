import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ALL_FULL, BUSY_CPU, ROOM_CPU, decideHeights } from './height-policy.ts';
import { heightsOf, pixelsAt } from './picture-heights.ts';
import type { ShownCamera } from './picture-heights.ts';
import { LEAST_MS_DOWN, LEAST_MS_UP } from './policy.ts';

const camera = (over: Partial<ShownCamera> = {}): ShownCamera => ({ camera: 'a', width: 3840, height: 2160, preset: 'auto', priority: 5, ...over });
const sizes = fc.constantFrom({ width: 3840, height: 2160 }, { width: 7680, height: 4320 }, { width: 2560, height: 1440 }, { width: 1920, height: 1080 }, { width: 1280, height: 720 }, { width: 1080, height: 1920 }, { width: 320, height: 180 });
const shown = fc.array(fc.record({ size: sizes, priority: fc.integer({ min: 1, max: 10 }) }), { minLength: 1, maxLength: 8 }).map((all): ShownCamera[] => all.map(({ size, priority }, i) => camera({ camera: `c${String(i)}`, ...size, priority })));
const share = fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 0.5, 0.9, 0.97, 1));
const rounds = fc.array(fc.record({ cpu: share, after: fc.integer({ min: 100, max: 12_000 }) }), { maxLength: 60 });

/** Rounds of three seconds, each with its share of busy time. */
const play = (cameras: readonly ShownCamera[], all: readonly number[], { state: start, now: begin } = { state: ALL_FULL, now: 0 }) => {
  let [state, now] = [start, begin];
  const changes = all.flatMap((cpu) => {
    now += 3000;
    const decided = decideHeights(state, cameras, cpu, now);
    ({ state } = decided);
    return decided.changes.map(({ camera: id, from, to, cause }) => `${String(now / 1000)} s ${id} ${String(from)} to ${String(to)} ${cause}`);
  });
  return { state, changes, now };
};
const times = (count: number, cpu: number): number[] => Array.from({ length: count }, () => cpu);

test('[EXT-2] the steps are 2160, 1080 and 720 lines, as far as the camera has more', () => {
  expect([4320, 2160, 1440, 1080, 800, 720, 180].map((height) => heightsOf({ height }))).toEqual([[4320, 2160, 1080, 720], [2160, 1080, 720], [1440, 1080, 720], [1080, 720], [800, 720], [720], [180]]);
});

test('[EXT-3] whatever is measured: one step at a time, down no sooner than 3 s after the last and up no sooner than 10 s, down only without and up only with time to spare', () => {
  fc.assert(fc.property(shown, rounds, (cameras, all) => {
    const steppedAt = new Map<string, number>();
    let [state, now] = [ALL_FULL, 0];
    for (const { cpu, after } of all) {
      now += after;
      const before = state;
      const decided = decideHeights(state, cameras, cpu, now);
      ({ state } = decided);
      for (const { camera: id, from, to, full, cause } of decided.changes) {
        const one = cameras.find((each) => each.camera === id)!;
        const heights = heightsOf(one);
        expect([full, from]).toEqual([one.height, before.cameras.get(id)?.at ?? full]);
        const down = heights.indexOf(to) - heights.indexOf(from);
        expect([down, cause]).toEqual(to < from ? [1, 'cpu_busy'] : [-1, 'recovered']);
        expect(now - (steppedAt.get(id) ?? -Infinity)).toBeGreaterThanOrEqual(to < from ? LEAST_MS_DOWN : LEAST_MS_UP);
        if (to > from) expect(cpu).toBeLessThanOrEqual(ROOM_CPU);
        steppedAt.set(id, now);
      }
      for (const each of cameras) expect(heightsOf(each)).toContain(state.cameras.get(each.camera)?.at);
    }
  }));
});

test('[EXT-3] while the processors are not busy for six seconds on end nothing is lowered', () => {
  fc.assert(fc.property(shown, fc.array(fc.double({ min: 0, max: BUSY_CPU, noNaN: true }), { maxLength: 30 }), (cameras, calm) => {
    expect(play(cameras, calm.flatMap((cpu) => [cpu, 1, cpu])).changes).toEqual([]);
  }));
});

test('[EXT-3] under lasting pressure all come down to what they are never made lower than, and twenty minutes after it all are as they were', () => {
  fc.assert(fc.property(shown, rounds, (cameras, all) => {
    const busy = play(cameras, times(20, 1), play(cameras, all.map(({ cpu }) => cpu)));
    for (const each of cameras) expect(busy.state.cameras.get(each.camera)?.at).toBe(heightsOf(each).at(-1));
    const rested = play(cameras, times(400, 0.2), busy);
    for (const each of cameras) expect(rested.state.cameras.get(each.camera)?.at).toBe(each.height);
  }), { numRuns: 50 });
});

test('[EXT-4] of two cameras of the same size the one of higher priority is never shown smaller', () => {
  fc.assert(fc.property(shown, fc.integer({ min: 1, max: 9 }), sizes, rounds, (others, priority, size, all) => {
    const [low, high] = [camera({ camera: 'low', ...size, priority }), camera({ camera: 'high', ...size, priority: priority + 1 })];
    let [state, now] = [ALL_FULL, 0];
    for (const { cpu } of all) {
      now += 12_000; // each may step
      ({ state } = decideHeights(state, [...others, low, high], cpu, now));
      expect(state.cameras.get('high')?.at).toBeGreaterThanOrEqual(state.cameras.get('low')?.at ?? NaN);
    }
  }));
});

describe('one camera of 2160 lines', () => {
  test('[EXT-3] is lowered step by step, each told with its cause, and comes back the same way', () => {
    const busy = play([camera()], times(5, 0.99));
    expect(busy.changes).toEqual(['6 s a 2160 to 1080 cpu_busy', '9 s a 1080 to 720 cpu_busy']);
    expect(play([camera()], times(20, 0.3), busy).changes.map((change) => change.replace(/^\d+ s /, ''))).toEqual(['a 720 to 1080 recovered', 'a 1080 to 2160 recovered']);
  });

  test('[EXT-3] stays lowered while the processors are nearly busy, and when larger pictures are too much it is tried more and more rarely', () => {
    const busy = play([camera()], times(2, 0.99));
    expect(play([camera()], times(100, 0.9), busy).changes).toEqual([]);
    // At full height it is too much.
    let { now, state: at } = busy;
    const raisedAt: number[] = [];
    for (let i = 0; i < 800; i++) {
      now += 3000;
      const decided = decideHeights(at, [camera()], at.cameras.get('a')?.at === 2160 ? 1 : 0.5, now);
      at = decided.state;
      if (decided.changes.some(({ to }) => to === 2160)) raisedAt.push(now);
    }
    const distances = raisedAt.slice(1).map((when, i) => when - (raisedAt[i] ?? 0));
    for (const [i, distance] of distances.slice(1).entries()) expect(distance).toBeGreaterThanOrEqual(distances[i] ?? 0);
    expect(distances.at(-1)).toBeGreaterThanOrEqual(300_000);
    expect(raisedAt.length).toBeLessThan(15);
  });

  test('[EXT-2] a setting that is changed is told; that others watch it, in another size, is not', () => {
    const { state } = play([camera()], [0.2]);
    expect(decideHeights(state, [camera({ width: 1280, height: 720, preset: 'low' })], 0.2, 6000).changes).toEqual([{ camera: 'a', from: 2160, to: 720, full: 720, cause: 'settings' }]);
    expect(decideHeights(state, [camera({ width: 640, height: 360 })], 0.2, 6000).changes).toEqual([]);
    expect(decideHeights(state, [], 0.2, 6000)).toEqual({ state: ALL_FULL, changes: [] });
  });
});

test('[EXT-3] a camera that has nothing to give is left alone, whatever there is to do', () => {
  expect(play([camera({ width: 1280, height: 720 }), camera({ camera: 'b', width: 640, height: 360 })], times(50, 1)).changes).toEqual([]);
});

/** A machine whose time goes into pixels that are shown, and into something else. */
const machine = (cameras: readonly ShownCamera[], pixelsPerSecond: number) => {
  let [state, now] = [ALL_FULL, 0];
  const all: { readonly camera: string; readonly at: number }[] = [];
  const load = (): number => cameras.reduce((sum, each) => sum + pixelsAt(each, state.cameras.get(each.camera)?.at ?? each.height), 0) / pixelsPerSecond;
  return {
    all, load,
    height: (id: string) => state.cameras.get(id)?.at ?? NaN,
    run: (seconds: number, other: number) => {
      for (let i = 0; i < seconds; i += 3) {
        now += 3000;
        const decided = decideHeights(state, cameras, Math.min(1, other + load()), now);
        ({ state } = decided);
        all.push(...decided.changes.map((change) => ({ camera: change.camera, at: now })));
      }
    },
  };
};

describe('[EXT-2][EXT-3][EXT-4] 100 simulated cameras of 1080 and 2160 lines', () => {
  const cameras = Array.from({ length: 100 }, (_, i) => camera({ camera: `c${String(i).padStart(3, '0')}`, ...(i % 2 === 0 && { width: 1920, height: 1080 }), priority: 1 + (i % 10) }));
  const whole = cameras.reduce((sum, each) => sum + pixelsAt(each, each.height), 0);

  test('on a machine that has time for them: nothing changes', () => {
    const plant = machine(cameras, whole / 0.8);
    plant.run(600, 0);
    expect(plant.all).toEqual([]);
  });

  test('that something else leaves half of the time: it is enough within half a minute, the low priorities give most, and all are back after it', () => {
    const plant = machine(cameras, whole / 0.8);
    plant.run(30, 0.5);
    expect(plant.load()).toBeLessThan(0.46);
    plant.run(1800, 0.5);
    expect(plant.load()).toBeLessThan(0.46);
    const mean = (priority: number): number => cameras.filter((each) => each.priority === priority).reduce((sum, each) => sum + plant.height(each.camera), 0) / 10;
    for (let priority = 3; priority <= 10; priority++) expect(mean(priority), String(priority)).toBeGreaterThanOrEqual(mean(priority - 2));
    const counts = new Map<string, number>();
    for (const { camera: id } of plant.all) counts.set(id, (counts.get(id) ?? 0) + 1);
    expect(Math.max(...counts.values())).toBeLessThanOrEqual(30); // in half an hour
    plant.run(900, 0);
    expect(cameras.every((each) => plant.height(each.camera) === each.height)).toBe(true);
    const quiet = plant.all.length;
    plant.run(600, 0);
    expect(plant.all).toHaveLength(quiet);
  });

  test.each([20, 90])('with a load that comes and goes every %i s: no camera is changed all the time', (period) => {
    const plant = machine(cameras, whole / 0.8);
    for (let i = 0; i < 1200; i += period) {
      plant.run(period / 2, 0.5);
      plant.run(period / 2, 0);
    }
    const counts = new Map<string, number>();
    for (const { camera: id } of plant.all) counts.set(id, (counts.get(id) ?? 0) + 1);
    expect(Math.max(...counts.values())).toBeLessThanOrEqual(90); // there and back; the least distances alone would allow 184
    plant.run(900, 0);
    expect(cameras.every((each) => plant.height(each.camera) === each.height)).toBe(true);
  });
});
