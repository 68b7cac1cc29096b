import { expect, test } from 'vitest';
import { heightInWords } from './height-words.ts';

const at = (moment: number): string => new Date(moment).toISOString().slice(11, 19);
const since = '2026-11-29T20:00:00.000Z';

test.each([
  [{ height: 1080, full_height: 1080, since: null, cause: null }, null],
  [{ height: 1080, full_height: 1080, since, cause: 'recovered' }, null],
  [{ height: 720, full_height: 2160, since, cause: 'cpu_busy' }, 'Burned-in video and pictures for other programs are 720 of 2160 lines high since 20:00:00: the machine has no idle time.'],
  [{ height: 1080, full_height: 2160, since, cause: 'recovered' }, 'Burned-in video and pictures for other programs are 1080 of 2160 lines high since 20:00:00: it is on its way back.'],
])('[EXT-2] %j is said in words', (shown, words) => {
  expect(heightInWords(shown, at)).toBe(words);
});
