import type { Clock } from '../core/clock.ts';
import { MediaError } from '../core/errors.ts';
import type { Milliseconds } from '../core/units.ts';
import type { Logger } from '../platform/logging.ts';

/** A job as its table has it. */
export interface Job {
  readonly id: string;
  readonly camera_id: string;
}

/** Where jobs wait. Two processes never take the same one. */
export interface JobQueue<J extends Job> {
  /** Takes the next job: the oldest that waits, or whose process has died. */
  claim(now: Milliseconds): Promise<J | undefined>;
  /** This process still works on it. False when it was cancelled. */
  beat(id: string, now: Milliseconds): Promise<boolean>;
  /** Gives back a job that is to go on later. */
  release(id: string): Promise<void>;
  /** Ends a job that waits or runs. False when it has ended already. */
  end(id: string, state: 'done' | 'failed' | 'cancelled', error: string | null, now: Milliseconds): Promise<boolean>;
}

/** Thrown by the work on a job that somebody has ended meanwhile. */
export class JobCancelled extends Error {}

/** A process that has not said for so long that it works on a job has died. */
export const DEAD_AFTER: Milliseconds = 60_000;
const LOOK_PERIOD: Milliseconds = 2_000;
const BEAT_PERIOD: Milliseconds = 10_000;

export interface JobWorkerOptions<J extends Job> {
  /** In the log: `analysis`, `export`. */
  readonly what: string;
  readonly queue: JobQueue<J>;
  /** Does it all, and ends the job as done; throws what `signal` is aborted with, `JobCancelled`, or why it failed. */
  readonly work: (job: J, signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Works on the jobs of one table, one after the other, as long as the process lives; a job of a process that has died is taken over. */
export class JobWorker<J extends Job> implements AsyncDisposable {
  readonly #options: JobWorkerOptions<J>;
  readonly #stack = new DisposableStack();
  readonly #stop = new AbortController();
  #working: Promise<void> | undefined;
  /** The job under way, and what ends it. */
  #current: { readonly id: string; readonly abort: AbortController } | undefined;

  constructor(options: JobWorkerOptions<J>) {
    this.#options = options;
  }

  /** Looks for jobs from now on, those of a process that has died included. */
  start(): void {
    this.#stack.use(this.#options.clock.every(LOOK_PERIOD, () => { this.look(); }));
  }

  /** Looks at once. */
  look(): void {
    if (this.#stop.signal.aborted) return;
    this.#working ??= this.#work().catch((error: unknown) => { this.#options.logger.error({ err: error }, `no ${this.#options.what} can be worked on`); }).finally(() => { this.#working = undefined; });
  }

  /** Ends the work on a job that was cancelled, if it is done here. */
  interrupt(id: string): void {
    if (this.#current?.id === id) this.#current.abort.abort(new JobCancelled());
  }

  /** The job under way is given back, for the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stack.dispose();
    this.#stop.abort(new Error('the server stops'));
    await this.#working;
  }

  async #work(): Promise<void> {
    for (;;) {
      if (this.#stop.signal.aborted) return;
      const job = await this.#options.queue.claim(this.#options.clock.now());
      if (job === undefined) return;
      await this.#run(job);
    }
  }

  async #run(job: J): Promise<void> {
    const { what, queue, work, clock, logger } = this.#options;
    const abort = new AbortController();
    const signal = AbortSignal.any([abort.signal, this.#stop.signal]);
    this.#current = { id: job.id, abort };
    using _beat = clock.every(BEAT_PERIOD, () => {
      queue.beat(job.id, clock.now()).then((mine) => { if (!mine) abort.abort(new JobCancelled()); }, () => undefined);
    });
    try {
      await work(job, signal);
    } catch (error) {
      if (this.#stop.signal.aborted) await queue.release(job.id);
      else if (!abort.signal.aborted && !(error instanceof JobCancelled)) {
        logger.error({ [what]: job.id, camera: job.camera_id, err: error }, `${what} failed`);
        await queue.end(job.id, 'failed', error instanceof MediaError ? error.message : 'internal error; see the log', clock.now());
      }
    } finally {
      this.#current = undefined;
    }
  }
}
