import { expect, test } from 'vitest';
import { setUp, settle } from './testing-pool.ts';

const VAAPI = { type: 'vaapi', device: '/dev/dri/renderD128' } as const;
const ON_VAAPI = { decode: { h264: VAAPI }, encode: null, software: [] };

test('[EXT-8] processes are told of devices when they start, and of changes at once; without a device of nothing', () => {
  const { streams: [a, b], extractors, hardware } = setUp(['a', 'b'], 2);
  a!.become('live');
  expect(extractors[0]?.hardware).toBeUndefined();
  hardware.become(ON_VAAPI);
  b!.become('live');
  expect(extractors.map((extractor) => extractor.hardware)).toEqual([ON_VAAPI, ON_VAAPI]);
});

test('[EXT-8] what decodes a camera, and devices that failed for it, are told in statistics and metrics', async () => {
  const { streams: [a], pool, metrics, extractors, clock } = setUp(['a']);
  a!.become('live');
  expect(pool.stats('a')?.decoder).toBeNull();
  extractors[0]!.stats(0, 1, false, {}, 'vaapi /dev/dri/renderD128');
  expect(pool.stats('a')).toMatchObject({ decoder: 'vaapi /dev/dri/renderD128', decodersActive: 1 });
  extractors[0]!.stats(0, 0, true, {}, 'software', ['vaapi /dev/dri/renderD128']);
  extractors[0]!.stats(0, 1);
  expect(pool.stats('a')?.decoder).toBe('software');
  expect((await metrics.hardwareFailures.get()).values).toEqual([{ labels: { camera: 'a', device: 'vaapi /dev/dri/renderD128' }, value: 1 }]);
  a!.become('ended');
  clock.advance(4000);
  await settle();
  expect(pool.stats('a')?.decoder).toBeNull();
});

test('[EXT-7] [EXT-8] whose picture a process died on, and what decoded it, is told to who knows the devices, before another process starts', () => {
  const { streams: [a], extractors, hardware, clock } = setUp(['a']);
  hardware.become(ON_VAAPI);
  a!.become('live');
  extractors[0]!.stats(0, 1, false, {}, 'vaapi /dev/dri/renderD128');
  extractors[0]!.crash(0);
  expect(hardware.crashes).toEqual([['a', 'vaapi /dev/dri/renderD128']]);
  clock.advance(300);
  extractors[1]!.crash(1); // before it said what decodes
  extractors.at(-1)!.crash(null);
  expect(hardware.crashes).toEqual([['a', 'vaapi /dev/dri/renderD128'], ['a', null]]);
});

test('[EXT-7] [EXT-8] [DIS-4] a crash that names no camera is held against those whose annotated video a device encodes', () => {
  const { streams: [a, b], extractors, hardware, pool, clock } = setUp(['a', 'b']);
  a!.become('live');
  b!.become('live');
  using _watched = pool.annotated.hold('b');
  extractors[0]!.crash(null);
  expect(hardware.crashes).toEqual([]); // nothing is encoded on a device
  hardware.become({ decode: {}, encode: VAAPI, software: [] });
  clock.advance(300);
  for (const handle of [2, 3]) extractors[1]!.stats(handle, 1);
  extractors[1]!.crash(null);
  clock.advance(500);
  extractors[2]!.stats(4, 1);
  extractors[2]!.crash(4);
  expect(hardware.crashes).toEqual([['b', null], ['a', 'software']]);
});
