import { expect, test } from 'vitest';
import { LIVE_PER_GUEST, Turns } from './turns.ts';

/** Lanes that have so many pieces of work each, and what was done in which order. */
const lanes = (live: number, guests: number) => {
  const turns = new Turns();
  const left = { live, guests };
  const done: string[] = [];
  let running = 0;
  const over = Promise.withResolvers<undefined>();
  const work = async (lane: 'live' | 'guests'): Promise<void> => {
    left[lane]--;
    running++;
    expect(running).toBe(1);
    await new Promise((resolve) => { setImmediate(resolve); });
    running--;
    done.push(lane);
    if (left.live === 0 && left.guests === 0) over.resolve(undefined);
  };
  for (const lane of ['live', 'guests'] as const) turns.take(lane, () => (left[lane] > 0 ? work(lane) : undefined));
  return { turns, left, done, over: over.promise };
};

test('[INF-4] one run at a time, live pictures first; the guests have every ninth turn even while live pictures wait', async () => {
  const { turns, done, over } = lanes(20, 4);
  turns.wake();
  turns.wake();
  await over;
  const row = (count: number): string[] => Array.from({ length: count }, () => 'live');
  expect(done).toEqual([...row(LIVE_PER_GUEST), 'guests', ...row(LIVE_PER_GUEST), 'guests', ...row(20 - 2 * LIVE_PER_GUEST), 'guests', 'guests']);
});

test('[INF-4] a live picture waits for one run of a guest\'s at most, however many guests wait', async () => {
  const { turns, left, done, over } = lanes(0, 100);
  turns.wake();
  for (let picture = 0; picture < 10; picture++) {
    const before = done.length;
    left.live++;
    turns.wake();
    while (!done.slice(before).includes('live')) await new Promise((resolve) => { setImmediate(resolve); });
    expect(done.slice(before).indexOf('live')).toBeLessThanOrEqual(1);
  }
  await over;
  expect(done.filter((lane) => lane === 'guests')).toHaveLength(100);
});

test('[INF-4] work that comes after all was done is done', async () => {
  const { turns, left, done, over } = lanes(1, 1);
  turns.wake();
  await over;
  left.guests = 1;
  turns.wake();
  await expect.poll(() => done).toEqual(['live', 'guests', 'guests']);
});
