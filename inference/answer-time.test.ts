import { expect, test } from 'vitest';
import { AnswerTime } from './answer-time.ts';

test('[INF-1] the mean follows what a worker takes, and is forgotten while it is not asked', () => {
  const time = new AnswerTime();
  expect(time.expected(0)).toBe(0);
  time.note(40, 0);
  expect(time.expected(0)).toBe(40);
  for (let i = 0; i < 50; i++) time.note(10, 0);
  expect(time.expected(0)).toBeCloseTo(10, 1);
  expect(time.expected(10_000)).toBeCloseTo(5, 1);
  expect(time.expected(100_000)).toBeLessThan(0.01);
});
