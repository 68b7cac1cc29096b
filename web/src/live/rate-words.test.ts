import { expect, test } from 'vitest';
import { rateInWords } from './rate-words.ts';

const at = (moment: number): string => new Date(moment).toISOString().slice(11, 19);

const on = (model: string) => ({ detector: 'detect', model, full_model: 'm', light: [] });

test.each([
  [{ fps: 15, full_fps: 15, since: null, cause: null }, null],
  [{ fps: 15, full_fps: 15, since: '2026-11-29T20:00:00.000Z', cause: 'recovered' }, null],
  [{ fps: 8, full_fps: 15, since: '2026-11-29T20:00:00.000Z', cause: 'worker_busy' }, 'Detected at 8 of 15 pictures a second since 20:00:00: the detector has no room for more.'],
  [{ fps: 4, full_fps: 15, since: '2026-11-29T20:00:00.000Z', cause: 'recovered' }, 'Detected at 4 of 15 pictures a second since 20:00:00: it is on its way back.'],
  [{ fps: 1, full_fps: 30, since: null, cause: null }, 'Detected at 1 of 30 pictures a second.'],
  [{ fps: 1, full_fps: 30, since: '2026-11-29T20:00:00.000Z', cause: 'too_hot' }, 'Detected at 1 of 30 pictures a second since 20:00:00: too_hot.'],
  [{ fps: 8, full_fps: 15, since: '2026-11-29T20:00:00.000Z', cause: 'settings' }, 'Detected at 8 of 15 pictures a second since 20:00:00.'],
  [{ fps: 8, full_fps: 15, models: [on('small')], since: '2026-11-29T20:00:00.000Z', cause: 'worker_busy' }, 'Detected at 8 of 15 pictures a second, with the lighter model small since 20:00:00: the detector has no room for more.'],
  [{ fps: 8, full_fps: 8, models: [on('small'), on('m')], since: null, cause: null }, 'Detected with the lighter model small.'],
  [{ fps: 4, full_fps: 8, models: [on('small'), on('tiny'), on('small')], since: null, cause: null }, 'Detected at 4 of 8 pictures a second, with the lighter models small and tiny.'],
  [{ fps: 15, full_fps: 15, models: [on('m')], since: '2026-11-29T20:00:00.000Z', cause: 'recovered' }, null],
])('[EXT-2] %j is said in words', (rate, words) => {
  expect(rateInWords(rate, at)).toBe(words);
});
