import { setImmediate as nextLoopTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { FakeClock } from '../../core/testing-clock.ts';
import type { WaitingPicture } from './batching.ts';
import { Gathering } from './gathering.ts';

/** A worker that has just run for so long, and what waits in it. */
const afterRun = (tookMs: number) => {
  const clock = new FakeClock();
  clock.advance(1000);
  const gathering = new Gathering(clock);
  const began = clock.monotonic();
  clock.advance(tookMs);
  gathering.ran(began);
  let waiting: readonly WaitingPicture[] = [];
  const read = (deadlineMs = 1000): void => {
    waiting = [...waiting, { model: 'm', receivedAt: clock.monotonic(), deadlineMs }];
    gathering.came();
  };
  let over = false;
  const gather = (most: number): void => { void gathering.all(most, () => waiting).then(() => { over = true; }); };
  return { clock, gathering, read, gather, over: async () => { for (let turn = 0; turn < 5; turn++) await nextLoopTurn(); return over; } };
};

test('[INF-5] a picture that comes while nothing ran waits for nobody', async () => {
  const { clock, read, gather, over } = afterRun(100);
  clock.advance(11);
  read();
  gather(4);
  expect([clock.waiting, await over()]).toEqual([[], true]);
});

test('[INF-5] those that are read right after a run are waited for, each a tenth of the run, until as many are there as run together', async () => {
  const { clock, read, gather, over } = afterRun(100);
  clock.advance(2);
  read();
  gather(3);
  expect([clock.waiting, await over()]).toEqual([[10], false]);
  clock.advance(9);
  read();
  expect([await over(), clock.waiting]).toEqual([false, [10]]);
  clock.advance(9);
  read();
  expect([await over(), clock.waiting]).toEqual([true, []]);
});

test.each([[100, 10], [2, 1], [1000, 20]])('[INF-5] after a run of %d ms the next is waited for %d ms at most', async (tookMs, quietMs) => {
  const { clock, read, gather, over } = afterRun(tookMs);
  read();
  gather(4);
  expect(clock.waiting).toEqual([quietMs]);
  clock.advance(quietMs);
  expect([await over(), clock.waiting]).toEqual([true, []]);
});

test('[INF-5] that takes half of the run at most, and half of the first one\'s time', async () => {
  const { clock, read, gather, over } = afterRun(100);
  read();
  gather(32);
  for (let i = 0; i < 5; i++) {
    expect(await over()).toBe(false);
    clock.advance(9.9);
    read();
  }
  expect(await over()).toBe(false);
  clock.advance(9.9);
  read();
  expect([await over(), clock.waiting]).toEqual([true, []]);
  const hasty = afterRun(100);
  hasty.read(12);
  hasty.gather(32);
  hasty.clock.advance(6);
  hasty.read();
  expect([await hasty.over(), hasty.clock.waiting]).toEqual([true, []]);
});

test('[INF-5] after a stall of the process what waits in the sockets is read before the time is over', async () => {
  const { clock, read, gather, over } = afterRun(100);
  read();
  gather(4);
  clock.advance(10);
  read(); // the timers of a loop turn come before its sockets
  expect([await over(), clock.waiting]).toEqual([false, [10]]);
});

test('[INF-5] pictures that were read during a server\'s run wait for nobody', async () => {
  const clock = new FakeClock();
  const gathering = new Gathering(clock);
  const waiting = [{ model: 'm', receivedAt: clock.monotonic(), deadlineMs: 1000 }];
  clock.advance(50);
  gathering.ran(0);
  await gathering.all(4, () => waiting);
  expect(clock.waiting).toEqual([]);
});
