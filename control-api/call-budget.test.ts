import { expect, test } from 'vitest';
import { FakeClock } from '../core/testing-clock.ts';
import { CallBudget } from './call-budget.ts';

test('[SD-53] each client may make so many calls a minute, and is told when it may call again', () => {
  const clock = new FakeClock();
  const budget = new CallBudget(3, clock);
  for (let i = 0; i < 3; i += 1) budget.spend('a');
  clock.advance(20_000);
  expect(() => { budget.spend('a'); }).toThrow(expect.objectContaining({ code: 'RESOURCE_EXHAUSTED', reason: 'TOO_MANY_REQUESTS', retryAfterSeconds: 40 }));
  budget.spend('b');
  clock.advance(40_000);
  budget.spend('a');
});
