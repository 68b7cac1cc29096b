import { expect, test } from 'vitest';
import { isRecordingOn, recordingInWords } from './policy-words.ts';

const hours = { timezone: 'Asia/Tokyo', times: [{ days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '06:00', to: '22:00' }, { days: ['sun', 'sat'], from: '08:00', to: '12:00' }] };

test.each([
  [{ policy: 'always' }, true, /^Always; the oldest goes first/],
  [{ policy: 'always', window_minutes: 4320, max_bytes: 5e10 }, true, /Kept for 3 days, up to 50\.0 GB\.$/],
  [{ policy: 'always', window_minutes: 15 }, true, /Kept for 15 min\.$/],
  [{ policy: 'always', hours }, true, /^At set hours: Mon–Fri 06:00–22:00; Sat, Sun 08:00–12:00 \(Asia\/Tokyo\)/],
  [{ policy: 'on-event' }, true, /^For events/],
  [{ policy: 'off' }, false, /not to record/],
  [{ policy: 'always', switched: 'off' as const }, false, /^Switched off by hand/],
  [{ policy: 'off', switched: 'on' as const }, true, /^Switched on by hand/],
])('[SD-53] %j is said in words', (recording, on, words) => {
  expect(isRecordingOn(recording)).toBe(on);
  expect(recordingInWords(recording)).toMatch(words);
});
