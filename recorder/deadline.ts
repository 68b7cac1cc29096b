import type { Clock } from '../core/clock.ts';
import { MediaError } from '../core/errors.ts';
import type { Milliseconds } from '../core/units.ts';

/** A file operation that takes longer than this is stuck (a network disk gone). */
export const DISK_DEADLINE: Milliseconds = 10_000;

/** What `work` resolves to. Throws DEADLINE_EXCEEDED when it has not settled in time; it goes on, and a later failure of it is nobody's. */
export const withDeadline = async <T>(clock: Clock, work: Promise<T>, limit: Milliseconds = DISK_DEADLINE): Promise<T> => {
  let timer: Disposable | undefined;
  try {
    return await Promise.race([
      work,
      new Promise<never>((_, reject) => {
        timer = clock.after(limit, () => { reject(new MediaError('DEADLINE_EXCEEDED', 'the disk does not answer', { reason: 'DISK_STUCK' })); });
      }),
    ]);
  } finally {
    timer?.[Symbol.dispose]();
  }
};
