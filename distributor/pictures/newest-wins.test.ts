import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NewestWins } from './newest-wins.ts';

test('[EXT-6] a client that keeps up gets everything, a slow one the newest, and what it lost is counted', () => {
  const written: number[] = [];
  let dropped = 0;
  const queue = new NewestWins<number>((value) => { written.push(value); }, () => { dropped++; });
  queue.offer(1);
  queue.drained();
  queue.offer(2);
  for (const value of [3, 4, 5]) queue.offer(value);
  expect([written, dropped, queue.full]).toEqual([[1, 2], 2, true]);
  queue.drained();
  expect([written, queue.full]).toEqual([[1, 2, 5], true]);
  queue.drained();
  expect(queue.full).toBe(false);
});

test('[EXT-6] whatever comes and however it is taken: one on its way at most, in order, the last one arrives, and nothing is lost uncounted', () => {
  fc.assert(fc.property(fc.array(fc.boolean(), { maxLength: 200 }), (steps) => {
    const written: number[] = [];
    let dropped = 0;
    let offered = 0;
    let underWay = 0;
    const queue = new NewestWins<number>((value) => {
      expect(++underWay).toBe(1);
      written.push(value);
    }, () => { dropped++; });
    const take = (): void => {
      if (underWay === 0) return;
      underWay--;
      queue.drained();
    };
    for (const offers of steps) {
      if (offers) queue.offer(offered++);
      else take();
    }
    while (queue.full) take();
    expect(written).toEqual(written.toSorted((a, b) => a - b));
    expect(written.at(-1) ?? -1).toBe(offered - 1);
    expect(written.length + dropped).toBe(offered);
  }));
});
