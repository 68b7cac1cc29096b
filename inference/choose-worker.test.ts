import { expect, test } from 'vitest';
import { chooseWorker } from './choose-worker.ts';

const worker = (name: string, expectedMs: number, unanswered = 0, local = false) => ({ name, expectedMs, unanswered, local });
const chosen = (...workers: readonly ReturnType<typeof worker>[]): string | undefined => chooseWorker(workers)?.name;

test.each([
  ['nobody has credit', [], undefined],
  ['the faster one', [worker('a', 30), worker('b', 10)], 'b'],
  ['the faster one, as long as its queue is short', [worker('a', 30), worker('b', 10, 1)], 'b'],
  ['the slower one that is free sooner', [worker('a', 30), worker('b', 20, 1)], 'a'],
  ['one that is not known yet', [worker('a', 5), worker('b', 0)], 'b'],
  ['of two unknown ones the idle one', [worker('a', 0, 1), worker('b', 0)], 'b'],
  ['of equals the local one', [worker('a', 10), worker('b', 10, 0, true), worker('c', 10)], 'b'],
  ['of equals the first', [worker('a', 10), worker('b', 10)], 'a'],
])('[INF-1] %s', (_, workers, expected) => {
  expect(chosen(...workers)).toBe(expected);
});
