import { expect, test } from 'vitest';
import { DetectorMeter } from './detector-figures.ts';

const result = (detector: string, totalMs = 30, model = 'm') => ({ detector, result: { model }, timings: { queueMs: 1, waitMs: 2, inferenceMs: totalMs - 5, shareMs: totalMs - 5, totalMs } });

test('[EXT-2] a detector says how many pictures a second it really sees, and how long each stage takes', () => {
  const meter = new DetectorMeter();
  for (let now = 0; now <= 6_000; now += 100) meter.add(result('detect'), now);
  for (let now = 0; now <= 6_000; now += 1_000) meter.add(result('slow', 100, 'n'), now);
  expect(meter.figures(6_000)).toEqual({
    detect: { model: 'm', fps: 10, queueMs: 1, waitMs: 2, modelMs: 25, totalMs: 30 },
    slow: { model: 'n', fps: 1, queueMs: 1, waitMs: 2, modelMs: 95, totalMs: 100 },
  });
});

test('[EXT-2] a rate that falls is told while it falls, times follow over some results, and who is silent does not run', () => {
  const meter = new DetectorMeter();
  for (let now = 0; now <= 4_000; now += 100) meter.add(result('detect'), now);
  expect(meter.figures(8_000)['detect']?.fps).toBe(0);
  for (let now = 4_100; now <= 6_000; now += 100) meter.add(result('detect', 90), now);
  expect(meter.figures(6_000)['detect']?.totalMs).toBeGreaterThan(75);
  expect(meter.figures(16_000)).toMatchObject({ detect: { model: 'm' } });
  expect(meter.figures(16_001)).toEqual({});
  meter.add(result('detect', 30, 'other'), 16_002);
  expect(meter.figures(16_002)).toEqual({ detect: { model: 'other', fps: 0, queueMs: 1, waitMs: 2, modelMs: 25, totalMs: 30 } });
});
