import { expect, test } from 'vitest';
import { CpuLoad } from './cpu-load.ts';

test('[EXT-3] the busy share is that since the last look, of all cores; what runs nice counts as free where it is said so', () => {
  const times = { user: 0, nice: 0, sys: 0, irq: 0, idle: 0 };
  const read = () => [{ times: { ...times } }, { times: { ...times, user: 0, idle: times.idle + times.user } }]; // the second is only ever nice, or at rest
  const pass = (more: Partial<typeof times>): void => { for (const key of ['user', 'nice', 'sys', 'irq', 'idle'] as const) times[key] += more[key] ?? 0; };
  const [all, own] = [new CpuLoad('busy', read), new CpuLoad('idle', read)];
  pass({ user: 100 });
  expect([all.take(), own.take()]).toEqual([0, 0]);
  pass({ user: 500, nice: 250, idle: 250 });
  expect([all.take(), own.take()]).toEqual([0.5, 0.25]);
  expect([all.take(), own.take()]).toEqual([0, 0]); // no time has passed
  pass({ idle: 100 });
  expect([all.take(), own.take()]).toEqual([0, 0]);
});
