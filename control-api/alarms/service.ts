import { MediaError, messageOf } from '../../core/errors.ts';
import type { Logger } from '../../platform/logging.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { AlarmFilter, AlarmRow, AlarmStore } from './store.ts';

export interface AlarmServiceOptions {
  readonly store: AlarmStore;
  readonly metrics: Pick<Metrics, 'countAlarms'>;
  readonly logger: Logger;
}

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

  /** An operator has seen to it. It is raised again when it happens again. Throws NOT_FOUND. */
  async clear(id: string): Promise<void> {
    if (!(await this.#options.store.clear(id))) throw new MediaError('NOT_FOUND', 'No such alarm is raised.', { reason: 'ALARM_NOT_FOUND', context: { id: id.slice(0, 200) } });
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
