import { expect, test } from 'vitest';
import { FakeClock } from '../core/testing-clock.ts';
import { silentLogger } from '../platform/logging.ts';
import { LighterModels } from './lighter-models.ts';
import { DETECTOR, setUp, settle } from './testing-pool.ts';

/** Cameras `a`, `b` … live, each with what its child was told to detect at. */
const start = async (names: readonly string[]) => {
  const pool = setUp(names);
  for (const stream of pool.streams) {
    stream.become('live');
    pool.publish(stream, 0, true);
  }
  await settle();
  const models = (handle: number): readonly string[] => pool.extractors.at(-1)?.cameras.get(handle)?.detectors.map((each) => each.model) ?? [];
  const fps = (handle: number): readonly number[] => pool.extractors.at(-1)?.cameras.get(handle)?.detectors.map((each) => each.fps) ?? [];
  const seen = (handle: number, camera: string, seq: number) => ({
    handle, detector: pool.extractors.at(-1)?.cameras.get(handle)?.detectors[0]?.id ?? '',
    result: { frame: { stream: camera, epoch: 1, rtpTs: 2, captureNtp: null, seq }, capturedAt: 5, model: models(handle)[0] ?? '', modelDigest: 'd', inferenceMs: 6, width: 1, height: 1, detections: [] },
    timings: { queueMs: 10, waitMs: 2, inferenceMs: 3, shareMs: 3, totalMs: 4 },
  });
  /** Seconds in which each camera gets so many results and loses so many pictures. */
  const seconds = async (count: number, delivered: number, lost: number): Promise<void> => {
    for (let second = 0; second < count; second++) {
      for (const [handle, camera] of names.entries()) {
        for (let i = 0; i < delivered; i++) pool.extractors.at(-1)?.result(seen(handle, camera, i));
        pool.extractors.at(-1)?.stats(handle, 1, false, { superseded: lost });
      }
      pool.clock.advance(1000);
    }
    await settle();
  };
  return { ...pool, fps, models, seconds };
};
const value = async (metric: { get(): Promise<{ values: readonly { labels: object; value: number }[] }> }): Promise<unknown> => (await metric.get()).values.map(({ labels, value: v }) => [...Object.values(labels), v].join(' '));

test('[EXT-3] what the workers have no room for lowers the rate the decoder is asked for, told in statistics and metrics; later it is full again', async () => {
  const { pool, fps, seconds, metrics, clock, journal } = await start(['a']);
  const models = [{ detector: 'detect', model: 'm', full: 'm', light: [] }];
  expect(pool.stats('a')?.qos).toEqual({ preset: 'auto', priority: 5, fps: 15, fullFps: 15, level: 0, models, since: null, cause: null });
  await seconds(3, 5, 10);
  expect(fps(0)).toEqual([8]);
  expect(pool.stats('a')?.qos).toEqual({ preset: 'auto', priority: 5, fps: 8, fullFps: 15, level: 1, models, since: clock.now(), cause: 'worker_busy' });
  expect(journal.filter(({ type }) => type === 'rate-changed')).toEqual([{ type: 'rate-changed', change: { camera: 'a', at: clock.now(), from: 15, to: 8, full: 15, models: [{ detector: 'detect', from: 'm', to: 'm', full: 'm' }], cause: 'worker_busy' } }]);
  await seconds(3, 5, 3);
  expect(fps(0)).toEqual([4]);
  await seconds(1, 4, 0);
  expect(await value(metrics.qosFps)).toEqual(['a 4']);
  expect(await value(metrics.qosLevel)).toEqual(['a 2']);
  await seconds(60, 4, 0);
  expect(fps(0)).toEqual([15]);
  expect(pool.stats('a')?.qos).toMatchObject({ fps: 15, level: 0, cause: 'recovered' });
  expect(await value(metrics.qosChanges)).toEqual(['a worker_busy 2', 'a recovered 2']);
});

test('[EXT-3] every detector of a camera is lowered to the step, and those that ask for less are left alone', async () => {
  const { set, fps, seconds } = await start(['a']);
  set('a', [DETECTOR, { ...DETECTOR, id: 'fast', fps: 30 }, { ...DETECTOR, id: 'slow', fps: 0.5 }]);
  await seconds(3, 9, 36);
  expect(fps(0)).toEqual([15, 15, 0.5]);
  await seconds(3, 9, 20);
  expect(fps(0)).toEqual([8, 8, 0.5]);
});

test('[EXT-4] of two cameras the one of lower priority gives way', async () => {
  const { adjust, fps, seconds } = await start(['a', 'b']);
  adjust('a', { priority: 2 });
  adjust('b', { priority: 8 });
  await seconds(12, 9, 6);
  expect(fps(0)[0]).toBeLessThan(8);
  expect(fps(1)).toEqual([8]);
});

test('[EXT-2] a setting counts at once; what overload took stays taken when the camera comes back in a new process', async () => {
  const { adjust, pool, fps, seconds, extractors, clock, streams, publish } = await start(['a']);
  adjust('a', { qos: 'low' });
  expect(fps(0)).toEqual([8]);
  expect(pool.stats('a')?.qos).toMatchObject({ preset: 'low', fps: 8, fullFps: 8, level: 0 });
  adjust('a', {});
  expect(fps(0)).toEqual([15]);
  await seconds(3, 5, 10);
  expect(fps(0)).toEqual([8]);
  extractors[0]!.crash(null);
  clock.advance(250);
  publish(streams[0]!, 9, true);
  await settle();
  expect(extractors).toHaveLength(2);
  expect(fps(1)).toEqual([8]);
});

test('[EXT-3] a worker that is gone lowers nothing', async () => {
  const { fps, extractors, clock, pool } = await start(['a']);
  for (let second = 0; second < 30; second++) {
    extractors[0]!.stats(0, 1, false, { worker_lost: 15 });
    clock.advance(1000);
  }
  expect(fps(0)).toEqual([15]);
  expect(pool.stats('a')?.skipped).toEqual({ worker_lost: 450 });
});

test('a camera without detectors, or that is away, runs at no rate', async () => {
  const { pool, set, metrics, extractors, clock, remove } = await start(['a', 'b']);
  for (const handle of [0, 1]) extractors[0]!.stats(handle, 1);
  expect(await value(metrics.qosFps)).toEqual(['a 15', 'b 15']);
  set('a', []);
  expect(pool.stats('a')?.qos).toBeNull();
  clock.advance(10_000);
  expect(await value(metrics.qosFps)).toEqual(['b 15']);
  remove('b');
  expect(await value(metrics.qosFps)).toEqual([]);
  expect(await value(metrics.qosLevel)).toEqual([]);
});

const READY = [{ name: 'm', classes: 'coco' }, { name: 'small', classes: 'coco' }, { name: 'tiny', classes: 'coco' }];
const LIGHT = { ...DETECTOR, light: ['small', 'tiny'] };

test('[EXT-3] at 8 pictures a second a camera changes to a lighter model, from one picture to the next and told with both models; later it is back', async () => {
  const { pool, set, fps, models, seconds, metrics, extractors, journal } = await start(['a']);
  set('a', [LIGHT]);
  extractors[0]!.models(READY);
  expect([fps(0), models(0)]).toEqual([[15], ['m']]);
  await seconds(3, 3, 12);
  expect([fps(0), models(0)]).toEqual([[8], ['m']]);
  await seconds(4, 3, 5);
  expect([fps(0), models(0)]).toEqual([[8], ['small']]);
  expect(extractors).toHaveLength(1);
  expect(pool.stats('a')?.qos).toMatchObject({
    fps: 8, fullFps: 15, level: 2, cause: 'worker_busy', models: [{ detector: 'detect', model: 'small', full: 'm', light: [{ model: 'small', state: 'ready' }, { model: 'tiny', state: 'ready' }] }],
  });
  expect(await value(metrics.qosModel)).toEqual(['a detect small 1']);
  expect(await value(metrics.qosLevel)).toEqual(['a 2']);
  await seconds(90, 8, 0);
  expect([fps(0), models(0)]).toEqual([[15], ['m']]);
  expect(await value(metrics.qosModel)).toEqual(['a detect m 1']);
  const told = journal.flatMap((event) => (event.type === 'rate-changed' ? [event.change] : []));
  expect(told.map(({ from, to, models: of, cause }) => [from, to, of[0]?.from, of[0]?.to, of[0]?.full, cause])).toEqual([
    [15, 8, 'm', 'm', 'm', 'worker_busy'], [8, 8, 'm', 'small', 'm', 'worker_busy'], [8, 8, 'small', 'm', 'm', 'recovered'], [8, 15, 'm', 'm', 'm', 'recovered'],
  ]);
});

test('[EXT-3][INF-3] a lighter model that no worker has ready, or that has other classes, is passed over and said to be', async () => {
  const { pool, set, fps, models, seconds, extractors } = await start(['a']);
  set('a', [LIGHT]);
  extractors[0]!.models([{ name: 'm', classes: 'coco' }, { name: 'tiny', classes: 'defects' }]);
  await seconds(7, 3, 12);
  expect([fps(0), models(0)]).toEqual([[4], ['m']]);
  expect(pool.stats('a')?.qos?.models).toEqual([{ detector: 'detect', model: 'm', full: 'm', light: [{ model: 'small', state: 'not_ready' }, { model: 'tiny', state: 'other_classes' }] }]);
});

test('[EXT-3] a lighter model that a worker takes away is left at once, and told; workers that are away take none away', async () => {
  const { set, fps, models, seconds, extractors, journal } = await start(['a']);
  set('a', [LIGHT]);
  extractors[0]!.models(READY);
  await seconds(7, 3, 12);
  expect([fps(0), models(0)]).toEqual([[8], ['small']]);
  extractors[0]!.models([]);
  expect(models(0)).toEqual(['small']);
  extractors[0]!.models(READY.filter(({ name }) => name !== 'small'));
  expect([fps(0), models(0)]).toEqual([[8], ['tiny']]);
  await seconds(3, 8, 0);
  expect(journal.findLast(({ type }) => type === 'rate-changed')).toMatchObject({ change: { from: 8, to: 8, models: [{ from: 'small', to: 'tiny', full: 'm' }] } });
  extractors[0]!.models(READY.slice(0, 1));
  expect([fps(0), models(0)]).toEqual([[8], ['m']]);
});

test('[EXT-3] a lighter model that only refuses pictures is left within seconds, said to be, and tried again after a minute; one that sees some is not', async () => {
  const { pool, set, fps, models, seconds, extractors, clock } = await start(['a']);
  const state = () => pool.stats('a')?.qos?.models[0]?.light.map((each) => each.state);
  const refused = (...by: string[]): void => { extractors[0]!.stats(0, 1, false, { refused: 8 }, 'software', [], by); };
  set('a', [{ ...DETECTOR, light: ['small'] }]);
  extractors[0]!.models(READY);
  await seconds(7, 3, 12);
  expect([fps(0), models(0)]).toEqual([[8], ['small']]);
  for (let i = 0; i < 4; i++) refused('another'); // of another detector
  refused('small');
  await seconds(1, 5, 0);
  refused('small');
  expect([models(0), state()]).toEqual([['small'], ['ready']]);
  refused('small');
  refused('small');
  expect([models(0), state()]).toEqual([['m'], ['failing']]);
  clock.advance(60_000);
  expect(state()).toEqual(['ready']);
});

test('[EXT-3] a camera that is lowered goes on where its own model is away: the lighter one has the classes that it had', async () => {
  const { pool, set, models, seconds, extractors } = await start(['a']);
  set('a', [LIGHT]);
  extractors[0]!.models(READY);
  await seconds(7, 3, 12);
  expect(models(0)).toEqual(['small']);
  extractors[0]!.models(READY.filter(({ name }) => name !== 'm'));
  expect(models(0)).toEqual(['small']);
  extractors[0]!.models(READY.map((each) => (each.name === 'm' ? { ...each, classes: 'defects' } : each)));
  expect([models(0), pool.stats('a')?.qos?.models[0]?.light[0]?.state]).toEqual([['m'], 'other_classes']);
});

test('[EXT-3] of several detectors each goes as far as it has lighter models', async () => {
  const { set, fps, models, seconds, extractors } = await start(['a']);
  set('a', [LIGHT, { ...DETECTOR, id: 'n', model: 'n', fps: 2 }, { ...DETECTOR, id: 'o', model: 'o', light: ['small'] }]);
  extractors[0]!.models([...READY, { name: 'n', classes: 'coco' }, { name: 'o', classes: 'coco' }]);
  await seconds(3, 1, 31);
  for (let i = 0; i < 2; i++) await seconds(4, 1, 17);
  expect([fps(0), models(0)]).toEqual([[8, 2, 8], ['tiny', 'n', 'small']]);
});

test('[EXT-3] a process that has not told its models yet is taken to know those of the others', () => {
  const lighter = new LighterModels<string>(new FakeClock(), silentLogger());
  const spec = { id: 'detect', model: 'm', light: ['small'] };
  const states = (slot: string | null) => lighter.of(slot, spec).map(({ state }) => state);
  expect(states('one')).toEqual(['not_ready']);
  lighter.take('one', READY);
  expect([states('one'), states('two'), states(null)]).toEqual([['ready'], ['ready'], ['ready']]);
  lighter.take('two', READY.slice(0, 1));
  expect([states('one'), states('two')]).toEqual([['ready'], ['not_ready']]);
  lighter.forget('one');
  expect(states('one')).toEqual(['not_ready']);
});
