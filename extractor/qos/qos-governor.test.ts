/** The governor and its policy on simulated cameras and workers. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Plant } from './testing-plant.ts';
import type { SimulatedCamera } from './testing-plant.ts';

const WORKER = 50;
const cameras = (count: number, of: (i: number) => Partial<SimulatedCamera> = () => ({})): SimulatedCamera[] =>
  Array.from({ length: count }, (_, i) => ({ id: `c${String(i).padStart(3, '0')}`, fps: 15, priority: 5, ...of(i) }));

/** What holds at every moment. */
const invariants = (plant: Plant) => () => {
  expect(Math.min(...plant.allFps)).toBeGreaterThanOrEqual(1);
};
/** Changes of the camera that was changed most, within [from, to) seconds. */
const most = (plant: Plant, from: number, to: number): number => {
  const counts = new Map<string, number>();
  for (const { camera, second } of plant.steps) if (second >= from && second < to) counts.set(camera, (counts.get(camera) ?? 0) + 1);
  return Math.max(0, ...counts.values());
};

describe('[EXT-2][EXT-3][EXT-4] 100 cameras on 8 workers', () => {
  test('that manage them all: nothing changes', () => {
    using plant = new Plant(cameras(100), 8 * 200);
    plant.run(600, invariants(plant));
    expect(plant.steps).toEqual([]);
    expect(plant.total).toBe(1500);
  });

  test('that manage a quarter: rates fall by steps until nearly nothing is lost, stay there but for a trial now and then, and are full again after', () => {
    using plant = new Plant(cameras(100), 8 * WORKER);
    plant.run(15, invariants(plant));
    expect(plant.total).toBeLessThanOrEqual(8 * WORKER);
    expect(plant.total).toBeGreaterThan(0.6 * 8 * WORKER);
    let within = 0;
    plant.run(585, () => { if (plant.total <= 8 * WORKER) within++; });
    expect(within / 585).toBeGreaterThan(0.9);
    expect(most(plant, 15, 600)).toBeLessThanOrEqual(20); // a minute apart: there and back
    plant.capacity = 2000;
    plant.run(150, invariants(plant));
    expect(plant.total).toBe(1500);
    const quiet = plant.steps.length;
    plant.run(600);
    expect(plant.steps).toHaveLength(quiet);
  });

  test('of which seven leave and come back', () => {
    using plant = new Plant(cameras(100, (i) => ({ fps: [5, 15, 30][i % 3] ?? 15 })), 8 * 300);
    plant.run(60);
    expect(plant.steps).toEqual([]);
    plant.capacity = 300;
    plant.run(30, invariants(plant));
    expect(plant.total).toBeLessThanOrEqual(300);
    plant.capacity = 8 * 300;
    plant.run(180, invariants(plant));
    expect(plant.allFps).toEqual(cameras(100, (i) => ({ fps: [5, 15, 30][i % 3] ?? 15 })).map(({ fps }) => fps));
  });

  test.each([6, 20, 40, 90])('with a load that comes and goes every %i s: no camera is changed all the time', (period) => {
    using plant = new Plant(cameras(100), 2000);
    plant.run(1200, () => {
      plant.capacity = Math.floor(plant.second / (period / 2)) % 2 === 0 ? 2000 : 400;
      invariants(plant)();
    });
    expect(most(plant, 0, 600)).toBeLessThanOrEqual(45); // every 13 s; the least distances alone would allow 92
    expect(most(plant, 600, 1200)).toBeLessThanOrEqual(45);
    plant.capacity = 2000;
    plant.run(150);
    expect(plant.total).toBe(1500);
  });

  test('the lower a priority the sooner it gives way, and none starves', () => {
    using plant = new Plant(cameras(100, (i) => ({ priority: 1 + (i % 10) })), 8 * WORKER);
    plant.run(40, invariants(plant));
    const of = (priority: number): readonly number[] => plant.allFps.filter((_, i) => 1 + (i % 10) === priority);
    const mean = (priority: number): number => of(priority).reduce((sum, fps) => sum + fps, 0) / 10;
    for (let priority = 2; priority <= 10; priority++) expect(mean(priority), String(priority)).toBeGreaterThanOrEqual(mean(priority - 1));
    expect(mean(10)).toBeGreaterThan(2 * mean(1));
  });

  test('that are still too few at one picture a second each: it stays at that', () => {
    using plant = new Plant(cameras(100), 40);
    plant.run(300, invariants(plant));
    expect(plant.allFps.every((fps) => fps === 1)).toBe(true);
  });

  test('with twice the workers every camera has at least as much', () => {
    const at = (capacity: number): readonly number[] => {
      using plant = new Plant(cameras(100, (i) => ({ priority: 1 + (i % 10) })), capacity);
      plant.run(30);
      return plant.allFps;
    };
    const [few, many] = [at(300), at(600)];
    for (const [i, fps] of many.entries()) expect(fps).toBeGreaterThanOrEqual(few[i] ?? NaN);
  });
});

describe('[EXT-3] 100 cameras with lighter models on 8 workers', () => {
  /** Milliseconds with the lighter models, of 10 with their own. */
  const LIGHT = [6, 4];
  const lighter = (of: (i: number) => Partial<SimulatedCamera> = () => ({})) => cameras(100, (i) => ({ light: LIGHT, ...of(i) }));

  test('that manage half: all fall to 8 pictures a second and none further; no lighter model is needed', () => {
    using plant = new Plant(lighter(), 8 * 120);
    plant.run(60, invariants(plant));
    expect(Math.min(...plant.allFps)).toBe(8);
    expect(plant.allLight.every((light) => light === 0)).toBe(true);
  });

  test('that manage a quarter: lighter models keep 8 pictures a second for each camera, where half as many would be left without', () => {
    using plant = new Plant(lighter(), 8 * WORKER);
    plant.run(30, invariants(plant));
    let within = 0;
    plant.run(270, () => { if (plant.load <= 8 * WORKER * 1.0001) within++; });
    expect(within / 270).toBeGreaterThan(0.9);
    expect(Math.min(...plant.allFps)).toBe(8);
    expect(plant.allLight).toContain(2);
    expect(most(plant, 30, 300)).toBeLessThanOrEqual(12); // a trial a minute, there and back
    using without = new Plant(cameras(100), 8 * WORKER);
    without.run(120);
    expect(without.allFps.filter((fps) => fps < 8).length).toBeGreaterThan(50);
    plant.capacity = 2000;
    plant.run(240, invariants(plant));
    expect([plant.total, Math.max(...plant.allLight)]).toEqual([1500, 0]);
    const quiet = plant.steps.length;
    plant.run(300);
    expect(plant.steps).toHaveLength(quiet);
  });

  test('that manage a tenth: the lightest model everywhere, and then fewer pictures', () => {
    using plant = new Plant(lighter(), 8 * 20);
    plant.run(60, invariants(plant));
    expect(plant.load).toBeLessThanOrEqual(160);
    expect(plant.allLight.every((light) => light === 2)).toBe(true);
    expect(Math.max(...plant.allFps)).toBeLessThan(8);
  });

  test('of a model that is no lighter than their own: it is found out, and costs no rate', () => {
    using plant = new Plant(cameras(100, () => ({ light: [12] })), 8 * WORKER);
    plant.run(300, invariants(plant));
    using without = new Plant(cameras(100), 8 * WORKER);
    without.run(300);
    expect(plant.total).toBeGreaterThan(0.8 * without.total);
    plant.capacity = 2000;
    plant.run(240);
    expect([plant.total, Math.max(...plant.allLight)]).toEqual([1500, 0]);
  });

  test.each([20, 90])('with a load that comes and goes every %i s: no camera is changed all the time', (period) => {
    using plant = new Plant(lighter(), 2000);
    plant.run(1200, () => {
      plant.capacity = Math.floor(plant.second / (period / 2)) % 2 === 0 ? 2000 : 400;
      invariants(plant)();
    });
    expect(most(plant, 0, 600)).toBeLessThanOrEqual(45);
    expect(most(plant, 600, 1200)).toBeLessThanOrEqual(45);
    plant.capacity = 2000;
    plant.run(240);
    expect([plant.total, Math.max(...plant.allLight)]).toEqual([1500, 0]);
  });

  test('the lower a priority the sooner it gives way: the others keep their own models longer', () => {
    using plant = new Plant(lighter((i) => ({ priority: 1 + (i % 10) })), 8 * WORKER);
    plant.run(40, invariants(plant));
    const mean = (priority: number, all: readonly number[]): number => all.filter((_, i) => 1 + (i % 10) === priority).reduce((sum, each) => sum + each, 0) / 10;
    for (let priority = 2; priority <= 10; priority++) {
      expect(mean(priority, plant.allFps), String(priority)).toBeGreaterThanOrEqual(mean(priority - 1, plant.allFps));
      expect(mean(priority, plant.allLight), String(priority)).toBeLessThanOrEqual(mean(priority - 1, plant.allLight));
    }
    expect(mean(1, plant.allLight)).toBe(2);
    expect(mean(10, plant.allLight)).toBeLessThan(2);
  });
});

test('[EXT-3][EXT-4] whatever the load does, no camera goes below 1 fps, and four minutes after it all run at what they ask for, on their own models', () => {
  const stretch = fc.record({ capacity: fc.integer({ min: 0, max: 200 }), late: fc.constantFrom(0, 0, 0, 30), cpu: fc.constantFrom(0.3, 0.99), seconds: fc.integer({ min: 1, max: 60 }) });
  const asked = fc.record({ fps: fc.constantFrom(1, 5, 15, 30), priority: fc.integer({ min: 1, max: 10 }), light: fc.array(fc.constantFrom(1, 3, 5, 7, 9, 12), { maxLength: 3 }) });
  fc.assert(fc.property(fc.array(asked, { minLength: 1, maxLength: 10 }), fc.array(stretch, { maxLength: 12 }), (house, load) => {
    const all = house.map((each, i) => ({ ...each, id: `c${String(i)}` }));
    using plant = new Plant(all, 0);
    for (const { seconds, ...now } of load) {
      Object.assign(plant, now);
      plant.run(seconds, invariants(plant));
    }
    Object.assign(plant, { capacity: 10_000, late: 0, cpu: 0.3 });
    plant.run(240, invariants(plant));
    expect(plant.allFps).toEqual(all.map(({ fps }) => fps));
    expect(Math.max(...plant.allLight)).toBe(0);
  }), { numRuns: 50 });
});

test('an extractor that cannot keep up lowers the rates, too, and they rise again when it can, though the machine has no idle time', () => {
  using plant = new Plant(cameras(4), 1000);
  plant.late = 20;
  plant.run(12);
  expect(plant.steps.map(({ cause }) => cause)).toContain('extractor_busy');
  expect(plant.total).toBeLessThan(60);
  plant.late = 0;
  plant.cpu = 1;
  plant.run(120);
  expect(plant.total).toBe(60);
  expect(plant.steps.at(-1)?.cause).toBe('recovered');
});

test('a camera that comes into an overloaded house is lowered like the others; one that leaves makes room', () => {
  using plant = new Plant(cameras(4), 30);
  plant.run(60);
  plant.cameras = cameras(5);
  plant.run(30);
  expect(plant.fps('c004')).toBeLessThanOrEqual(8);
  plant.cameras = cameras(1);
  plant.run(90);
  expect(plant.fps('c000')).toBe(15);
});
