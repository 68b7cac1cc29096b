import { expect, test } from 'vitest';
import { MediaError } from '../core/errors.ts';
import { FakeClock } from '../core/testing-clock.ts';
import { silentLogger } from '../platform/logging.ts';
import { JobWorker } from './job-worker.ts';
import type { Job, JobQueue } from './job-worker.ts';

const queueOf = (...ids: string[]) => {
  const waiting: Job[] = ids.map((id) => ({ id, camera_id: 'c' }));
  const said: string[] = [];
  const mine = { yes: true };
  const queue: JobQueue<Job> = {
    claim: () => Promise.resolve(waiting.shift()),
    beat: (id) => { said.push(`beat ${id}`); return Promise.resolve(mine.yes); },
    release: (id) => { said.push(`release ${id}`); return Promise.resolve(); },
    end: (id, state, error) => { said.push(`${id} ${state}: ${String(error)}`); return Promise.resolve(true); },
  };
  return { queue, said, waiting, mine };
};
const settled = async (): Promise<void> => { for (let i = 0; i < 20; i++) await Promise.resolve(); };
const workerOf = (queue: JobQueue<Job>, work: (job: Job, signal: AbortSignal) => Promise<void>, clock = new FakeClock()) => new JobWorker({ what: 'job', queue, work, clock, logger: silentLogger() });
const aborted = (signal: AbortSignal): Promise<never> => new Promise((_resolve, reject) => { signal.addEventListener('abort', () => { reject(signal.reason as Error); }); });

test('[REC-5] jobs are worked on one after the other; one that fails says why and holds up no other', async () => {
  const { queue, said } = queueOf('a', 'b', 'c');
  const order: string[] = [];
  await using worker = workerOf(queue, ({ id }) => {
    order.push(id);
    return id === 'a' ? Promise.reject(new MediaError('UNAVAILABLE', 'try again')) : id === 'b' ? Promise.reject(new Error('a secret')) : Promise.resolve();
  });
  worker.look();
  await settled();
  expect(order).toEqual(['a', 'b', 'c']);
  expect(said).toEqual(['a failed: try again', 'b failed: internal error; see the log']);
});

test('[REC-5] a job that is cancelled ends at once, here or by another process, and nothing more is said of it', async () => {
  const { queue, said, waiting, mine } = queueOf('a');
  const clock = new FakeClock();
  await using worker = workerOf(queue, (_job, signal) => aborted(signal), clock);
  worker.start();
  clock.advance(2_000);
  await settled();
  worker.interrupt('another');
  worker.interrupt('a');
  await settled();
  expect(said).toEqual([]);
  waiting.push({ id: 'b', camera_id: 'c' });
  clock.advance(2_000);
  await settled();
  clock.advance(10_000);
  await settled();
  expect(said).toEqual(['beat b']);
  mine.yes = false;
  clock.advance(10_000);
  await settled();
  waiting.push({ id: 'd', camera_id: 'c' });
  clock.advance(2_000);
  await settled();
  clock.advance(10_000);
  expect(said).toEqual(['beat b', 'beat b', 'beat d']);
});

test('[REC-5] a stop gives the job under way back', async () => {
  const { queue, said, waiting } = queueOf('a', 'b');
  const worker = workerOf(queue, (_job, signal) => aborted(signal));
  worker.look();
  await settled();
  await worker[Symbol.asyncDispose]();
  expect(said).toEqual(['release a']);
  expect(waiting.map(({ id }) => id)).toEqual(['b']);
});
