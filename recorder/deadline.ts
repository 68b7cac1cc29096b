import type { Clock } from '../core/clock.ts';
import { MediaError } from '../core/errors.ts';
import type { Milliseconds } from '../core/units.ts';

/** A file operation that takes longer than this is stuck (a network disk gone). */
export const DISK_DEADLINE: Milliseconds = 10_000;

/** The disk did not answer in time. */
export class DiskStuckError extends MediaError {
  /** Resolves once it has answered, whatever it says. */
  readonly settled: Promise<void>;

  constructor(work: Promise<unknown>) {
    super('DEADLINE_EXCEEDED', 'the disk does not answer', { reason: 'DISK_STUCK' });
    const done = (): void => undefined;
    this.settled = work.then(done, done);
  }
}

/** What `work` resolves to. Throws a `DiskStuckError` when it has not settled in time; it goes on, and a later failure of it is nobody's. */
export const withDeadline = async <T>(clock: Clock, work: Promise<T>, limit: Milliseconds = DISK_DEADLINE): Promise<T> => {
  let timer: Disposable | undefined;
  try {
    return await Promise.race([
      work,
      new Promise<never>((_, reject) => {
        timer = clock.after(limit, () => { reject(new DiskStuckError(work)); });
      }),
    ]);
  } finally {
    timer?.[Symbol.dispose]();
  }
};
