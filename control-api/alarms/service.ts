import type { Clock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { AlarmFilter, AlarmRow, AlarmStore } from './store.ts';

export interface AlarmServiceOptions {
  readonly store: AlarmStore;
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, 'countAlarms'>;
  readonly logger: Logger;
}

/** Each is an alarm of its own (`gap-…`, `refused-…`), and nothing but an operator clears them. */
const PAST_ALARMS = ['journal_full', 'event_refused', 'archive_damaged'];

/** What operators should know of, and `imageflow_alarms`. */
export class AlarmService {
  readonly #options: AlarmServiceOptions;

  constructor(options: AlarmServiceOptions) {
    this.#options = options;
    options.metrics.countAlarms(() => this.#counts());
  }

  list(filter: AlarmFilter, after: readonly [number, string] | undefined, limit: number): Promise<AlarmRow[]> {
    return this.#options.store.list(filter, after, limit);
  }

  /** An alarm of this process's own. */
  async raise(alarm: { readonly id: string; readonly code: string; readonly camera: string | null; readonly message: string }): Promise<void> {
    const { id, code, camera, message } = alarm;
    await this.#options.store.put({ id, camera_id: camera, code, message, raised: 1, at: this.#options.clock.now() });
  }

  /** What `raise` raised is over; nothing when it was not raised. */
  async settle(id: string): Promise<void> {
    await this.#options.store.clear(id, this.#options.clock.now());
  }

  /** An operator has seen to it. It is raised again when it happens again. Throws NOT_FOUND. */
  async clear(id: string): Promise<void> {
    if (!(await this.#options.store.clear(id, this.#options.clock.now()))) throw new MediaError('NOT_FOUND', 'No such alarm is raised.', { reason: 'ALARM_NOT_FOUND', context: { id: id.slice(0, 200) } });
  }

  /** Forgets at most `limit` that were cleared before `cutoff`; how many. */
  deleteCleared(cutoff: Milliseconds, limit: number): Promise<number> {
    return this.#options.store.deleteCleared(cutoff, limit);
  }

  /** Alarms with an id of their own each time: forgets at most `limit` of those from before `cutoff` and those behind the newest `keep`. */
  deletePast(cutoff: Milliseconds, keep: number, limit: number): Promise<number> {
    return this.#options.store.deletePast(PAST_ALARMS, cutoff, keep, limit);
  }

  async #counts(): Promise<ReadonlyMap<string, number>> {
    try {
      return await this.#options.store.counts();
    } catch (error) {
      this.#options.logger.error({ error: messageOf(error) }, 'alarms not counted');
      return new Map();
    }
  }
}
