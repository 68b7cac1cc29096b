/** How long rows stay in the database, and the one sweep that deletes them; `detections.retention_hours` has a sweep of its own. */
import type { Clock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { Milliseconds } from '../core/units.ts';
import type { Logger } from '../platform/logging.ts';

const DAY_MS: Milliseconds = 24 * 3_600_000;

/** What stays, and for how long (documented in `docs/spec/control.md`). */
export const KEEP = {
  /** Segments whose files are gone: an event that comes late, from a journal that is sent again, must not list them anew. */
  expiredSegmentsMs: 7 * DAY_MS,
  /** Sessions that have ended and of which nothing recorded is left. */
  endedSessionsMs: 30 * DAY_MS,
  clearedAlarmsMs: 30 * DAY_MS,
  /** Alarms of something that happened, which nobody dismissed. */
  pastAlarmsMs: 90 * DAY_MS,
  pastAlarms: 1_000,
  /** With what they have found, but for what marks keep. */
  endedAnalysesMs: 90 * DAY_MS,
  /** With their files. */
  endedExportsMs: DAY_MS,
  auditMs: 90 * DAY_MS,
  auditRows: 100_000,
} as const;

/** Rows per transaction: SQLite answers nobody else meanwhile, and so many take a few milliseconds. */
export const SWEEP_ROWS = 1_000;

const FIRST_MS: Milliseconds = 60_000;
const PERIOD_MS: Milliseconds = 3_600_000;
const PAUSE_MS: Milliseconds = 50;

/** Where a task goes on: `undefined` = from the beginning. */
export type SweepPosition = readonly [number, string] | undefined;

export interface SweepTask {
  readonly name: string;
  /** Looks at `SWEEP_ROWS` rows at most; resolves with where to go on, undefined when it is through. */
  readonly step: (now: Milliseconds, from: SweepPosition) => Promise<SweepPosition>;
}

/** A task that deletes the oldest rows first, so that each step begins where the last one ended by itself. */
export const deleting = (name: string, remove: (now: Milliseconds, limit: number) => Promise<number>): SweepTask => ({
  name,
  step: async (now) => ((await remove(now, SWEEP_ROWS)) < SWEEP_ROWS ? undefined : [now, '']),
});

/** Runs every task once an hour, first a minute after the start, in small steps with pauses between them. */
export class RetentionSweep implements Disposable {
  readonly #tasks: readonly SweepTask[];
  readonly #clock: Clock;
  readonly #logger: Logger;
  #timer: Disposable | null = null;
  #disposed = false;

  constructor(options: { readonly tasks: readonly SweepTask[]; readonly clock: Clock; readonly logger: Logger }) {
    this.#tasks = options.tasks;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  start(): void {
    this.#schedule(FIRST_MS, 0, undefined);
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#timer?.[Symbol.dispose]();
  }

  #schedule(delay: Milliseconds, task: number, from: SweepPosition): void {
    if (!this.#disposed) this.#timer = this.#clock.after(delay, () => { void this.#step(task, from); });
  }

  async #step(index: number, from: SweepPosition): Promise<void> {
    const task = this.#tasks[index];
    if (task === undefined) { this.#schedule(PERIOD_MS, 0, undefined); return; }
    let next: SweepPosition;
    try {
      next = await task.step(this.#clock.now(), from);
    } catch (error) {
      if (!this.#disposed) this.#logger.error({ task: task.name, error: messageOf(error) }, 'old rows not deleted');
    }
    if (next === undefined) this.#schedule(PAUSE_MS, index + 1, undefined);
    else this.#schedule(PAUSE_MS, index, next);
  }
}
