/** The pool and how large it lets pictures be. */
import { expect, test } from 'vitest';
import type { PictureSpec } from './port.ts';
import { TRACKS, setUp, settle } from './testing-pool.ts';

const JPEG: PictureSpec = { format: 'jpeg', width: null, height: null, quality: 80, annotated: false };
const NEVER = new AbortController().signal;

/** Live cameras without detectors, of 2160 lines unless said otherwise. */
const start = async (lines: readonly number[] = [2160]) => {
  const pool = setUp(lines.map((_, i) => 'abc'.charAt(i)));
  for (const [i, stream] of pool.streams.entries()) {
    pool.set(stream.camera, []);
    stream.become('live');
    stream.tracks = { video: { ...TRACKS.video, width: (lines[i]! * 16) / 9, height: lines[i]! }, audio: null };
    pool.publish(stream, 0, true);
  }
  await settle();
  /** Seconds in which this share of the processors is busy. */
  const seconds = async (count: number, cpu: number): Promise<void> => {
    pool.machine.cpu = cpu;
    pool.clock.advance(count * 1000);
    await settle();
  };
  const value = async (name: 'qosHeight' | 'qosHeightChanges'): Promise<string[]> => (await pool.metrics[name].get()).values.map(({ labels, value: v }) => [...Object.values(labels), v].join(' '));
  return { ...pool, value, seconds, told: () => pool.journal.flatMap((event) => (event.type === 'height-changed' ? [event.change] : [])) };
};

test('[EXT-2] [EXT-3] burned-in video becomes smaller while the processors have no time, told in statistics, metrics and events; later it is as large as before', async () => {
  const { pool, extractors, seconds, clock, told, value } = await start();
  expect(pool.stats('a')?.shown).toBeNull();
  using _watched = pool.annotated.hold('a');
  await settle();
  expect([[...extractors[0]!.burning], extractors[0]!.burnInHeight]).toEqual([[0], null]);
  expect(pool.stats('a')?.shown).toEqual({ height: 2160, fullHeight: 2160, since: null, cause: null });
  await seconds(6, 1);
  const at = clock.now();
  expect(extractors[0]!.burnInHeight).toBe(1080);
  expect(pool.stats('a')?.shown).toEqual({ height: 1080, fullHeight: 2160, since: at, cause: 'cpu_busy' });
  expect(told()).toEqual([{ camera: 'a', at, from: 2160, to: 1080, full: 2160, cause: 'cpu_busy' }]);
  await seconds(30, 1);
  expect(extractors[0]!.burnInHeight).toBe(720);
  expect([await value('qosHeight'), await value('qosHeightChanges')]).toEqual([['a 720'], ['a cpu_busy 2']]);
  await seconds(60, 0.3);
  expect([extractors[0]!.burnInHeight, pool.stats('a')?.shown?.height, pool.stats('a')?.shown?.cause]).toEqual([null, 2160, 'recovered']);
  expect(told().map(({ from, to, cause }) => [from, to, cause])).toEqual([[2160, 1080, 'cpu_busy'], [1080, 720, 'cpu_busy'], [720, 1080, 'recovered'], [1080, 2160, 'recovered']]);
});

test('[EXT-2] [EXT-9] pictures that are watched become smaller, too, whatever size was named; a single picture that is asked for does not', async () => {
  const { pool, extractors, seconds } = await start();
  const wishes: PictureSpec[] = [JPEG, { ...JPEG, height: 1500 }, { ...JPEG, width: 640 }];
  const watching = wishes.map((spec) => pool.pictures.watch('a', spec, 5, () => undefined));
  const heights = () => extractors[0]!.pictures.get(0)?.map(({ spec }) => [spec.width, spec.height]);
  await settle();
  expect(heights()).toEqual([[null, null], [null, 1500], [640, null]]);
  await seconds(6, 1);
  expect(heights()).toEqual([[null, 1080], [null, 1080], [640, 1080]]);
  pool.pictures.still('a', JPEG, NEVER).catch(() => undefined);
  await settle();
  expect(extractors[0]!.stills.map(({ spec }) => spec)).toEqual([JPEG]);
  for (const each of watching) each[Symbol.dispose]();
  await seconds(1, 1);
  expect(pool.stats('a')?.shown).toBeNull();
});

test('[EXT-3] who is shown nothing that could be smaller has no such step', async () => {
  const { pool, seconds, told, value } = await start([720, 2160, 2160]);
  using _small = pool.annotated.hold('a');
  using _named = pool.pictures.watch('b', { ...JPEG, width: 640 }, 5, () => undefined);
  await settle();
  await seconds(60, 1);
  expect(told()).toEqual([]);
  expect(await value('qosHeight')).toEqual(['a 720', 'b 360']);
});

test('[EXT-4] the camera of lower priority gives way', async () => {
  const { pool, adjust, extractors, seconds, told } = await start([1080, 1080]);
  adjust('a', { priority: 8 });
  adjust('b', { priority: 2 });
  using _one = pool.annotated.hold('a');
  using _other = pool.annotated.hold('b');
  await settle();
  await seconds(6, 1);
  expect(told().map(({ camera, to }) => [camera, to])).toEqual([['b', 720]]);
  expect(extractors[0]!.burnInHeight).toBe(720);
});

test('[EXT-2] a setting bounds burned-in video, and pictures for which no size is named, at once; that it was changed is told', async () => {
  const { pool, adjust, extractors, seconds, told } = await start();
  using _video = pool.annotated.hold('a');
  using _own = pool.pictures.watch('a', JPEG, 5, () => undefined);
  using _named = pool.pictures.watch('a', { ...JPEG, height: 900 }, 5, () => undefined);
  await settle();
  await seconds(3, 0.2);
  const now = () => [extractors[0]!.burnInHeight, extractors[0]!.pictures.get(0)?.map(({ spec }) => spec.height)];
  adjust('a', { qos: 'low' });
  expect(now()).toEqual([720, [720, 900]]);
  adjust('a', { qos: 'medium' });
  expect(now()).toEqual([1080, [1080, 900]]);
  await seconds(3, 0.2);
  expect(told()).toMatchObject([{ from: 2160, to: 1080, full: 1080, cause: 'settings' }]);
  adjust('a', { qos: 'high' });
  expect(now()).toEqual([2160, [2160, 900]]);
  adjust('a', {});
  expect(now()).toEqual([null, [null, 900]]);
});

test.each([0, 900])('[EXT-7] what was taken stays taken when the camera goes on in another process, also when it is judged meanwhile (%i ms)', async (before) => {
  const { pool, extractors, seconds, clock, publish, streams } = await start();
  using _watched = pool.annotated.hold('a');
  await settle();
  await seconds(6, 1);
  clock.advance(before);
  extractors[0]!.crash(null);
  clock.advance(250);
  publish(streams[0]!, 1, true);
  await settle();
  expect([extractors.length, extractors[1]!.burnInHeight]).toEqual([2, 1080]);
});
