import type { Registry } from 'prom-client';
import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import { deadline } from '../deadline.ts';
import { mergeMetrics } from './merge-metrics.ts';

/** Another process's metrics, as Prometheus text. */
export interface MetricsSource {
  readonly name: string;
  readonly read: (signal: AbortSignal) => Promise<string>;
}

const DEADLINE_MS: Milliseconds = 1000;

/** A source that is scraped by HTTP; the URL is asked for anew each time, null: not there now. */
export const httpMetrics = (name: string, url: () => Promise<string | null>): MetricsSource => ({
  name,
  read: async (signal) => {
    const address = await url();
    if (address === null) return '';
    const response = await fetch(address, { signal });
    if (!response.ok) throw new Error(`status ${String(response.status)}`);
    return response.text();
  },
});

/** `/metrics` of the whole server: this process's, and those of the others that answer within a second. */
export class MetricsService {
  readonly #registry: Registry;
  readonly #sources: readonly MetricsSource[];
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor(options: { readonly registry: Registry; readonly sources: readonly MetricsSource[]; readonly clock: Clock; readonly logger: Logger }) {
    this.#registry = options.registry;
    this.#sources = options.sources;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  async text(): Promise<string> {
    const others = await Promise.all(this.#sources.map((source) => this.#read(source)));
    return mergeMetrics([await this.#registry.metrics(), ...others]);
  }

  async #read(source: MetricsSource): Promise<string> {
    using limit = deadline(this.#clock, DEADLINE_MS);
    try {
      return await source.read(limit.signal);
    } catch (error) {
      this.#logger.debug({ source: source.name, reason: messageOf(error) }, 'metrics source does not answer');
      return '';
    }
  }
}
