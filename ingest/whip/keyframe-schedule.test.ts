import { expect, test } from 'vitest';
import { KeyframeSchedule } from './keyframe-schedule.ts';

test('[D-2] a key frame is asked for when the last one is older than the interval', () => {
  const schedule = new KeyframeSchedule(4_000);
  schedule.keyframe(0);
  expect(schedule.due(3_999)).toBeNull();
  expect(schedule.due(4_000)).toBe('pli');
  expect(schedule.due(4_050)).toBeNull();
  schedule.keyframe(4_100);
  expect(schedule.due(8_099)).toBeNull();
});

test('[D-2] a request unanswered for a second is repeated as FIR until a key frame comes', () => {
  const schedule = new KeyframeSchedule(4_000);
  schedule.keyframe(0);
  expect([4_000, 4_999, 5_000, 5_500, 6_000].map((now) => schedule.due(now))).toEqual(['pli', null, 'fir', null, 'fir']);
  expect(schedule.unansweredSince).toBe(4_000);
  schedule.keyframe(6_100);
  expect([schedule.unansweredSince, schedule.due(6_200)]).toEqual([null, null]);
});

test('requests of many viewers are one, and none is sent within half a second of the last', () => {
  const schedule = new KeyframeSchedule(4_000);
  schedule.keyframe(0);
  schedule.request();
  schedule.request();
  expect(schedule.due(100)).toBe('pli');
  schedule.keyframe(200);
  schedule.request();
  expect([schedule.due(300), schedule.due(600)]).toEqual([null, 'pli']);
});

test('nothing is asked for before media comes; a first key frame that does not come is asked for after half a second', () => {
  const schedule = new KeyframeSchedule(4_000);
  schedule.request();
  expect(schedule.due(10_000)).toBeNull();
  const lost = new KeyframeSchedule(4_000);
  lost.started(1_000);
  expect([lost.due(1_499), lost.due(1_500)]).toEqual([null, 'pli']);
});
