import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import type { AlarmService } from '../alarms/service.ts';

/** Shorter ones are nobody's business: what waits is on the edge's disk. */
const ALARM_AFTER: Milliseconds = 60_000;
const ALARM_ID = 'archive';

export interface ArchiveOutageOptions {
  readonly alarms: Pick<AlarmService, 'raise' | 'settle'>;
  readonly place: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly alarmAfter?: Milliseconds;
}

/** Since when the object store has taken nothing, and the alarm of it. */
export class ArchiveOutage {
  readonly #options: ArchiveOutageOptions;
  #since: Milliseconds | null = null;
  #sinceMonotonic: Milliseconds = 0;
  #error: string | null = null;
  /** Undefined: an earlier process may have left the alarm raised. */
  #raised: boolean | undefined;

  constructor(options: ArchiveOutageOptions) {
    this.#options = options;
  }

  /** Unix ms; null: the last attempt succeeded, or there was none. */
  get since(): Milliseconds | null { return this.#since; }
  get error(): string | null { return this.#error; }

  async failed(error: unknown): Promise<void> {
    const { clock, logger, place, alarms } = this.#options;
    this.#error = messageOf(error);
    if (this.#since === null) {
      this.#since = clock.now();
      this.#sinceMonotonic = clock.monotonic();
      logger.warn({ place, reason: this.#error }, 'the archive takes nothing; recordings wait on disk');
    }
    if (this.#raised === true || clock.monotonic() - this.#sinceMonotonic < (this.#options.alarmAfter ?? ALARM_AFTER)) return;
    this.#raised = true;
    await alarms.raise({ id: ALARM_ID, code: 'archive_unavailable', camera: null, message: `The archive ${place} takes nothing; marked recordings wait on the edge's disk. ${this.#error}` });
  }

  async succeeded(): Promise<void> {
    const { logger, place, alarms } = this.#options;
    if (this.#since !== null) logger.info({ place }, 'the archive takes recordings again');
    this.#since = null;
    this.#error = null;
    if (this.#raised === false) return;
    this.#raised = false;
    await alarms.settle(ALARM_ID);
  }
}
