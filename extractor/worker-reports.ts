import type { Metrics } from '../platform/metrics.ts';
import type { ReportsMessage } from './protocol.ts';

/** What the extractor processes say of the workers, added up in the metrics: by worker, for as long as some process knows it. */
export class WorkerReports<Slot> {
  readonly #metrics: Metrics;
  readonly #connected = new Map<Slot, ReadonlyMap<string, boolean>>();

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  take(slot: Slot, reports: ReportsMessage['reports']): void {
    const before = this.#connected.get(slot);
    this.#connected.set(slot, new Map(reports.map(({ address, connected }) => [address, connected])));
    for (const { address: worker, answered, expectedMs } of reports) {
      this.#metrics.workerResults.inc({ worker }, answered);
      this.#metrics.workerAnswerSeconds.set({ worker }, expectedMs / 1000);
    }
    this.#tell([...reports.map(({ address }) => address), ...(before?.keys() ?? [])]);
  }

  /** The process is gone. */
  forget(slot: Slot): void {
    const before = this.#connected.get(slot);
    this.#connected.delete(slot);
    this.#tell([...(before?.keys() ?? [])]);
  }

  #tell(workers: Iterable<string>): void {
    for (const worker of new Set(workers)) {
      const states = [...this.#connected.values()].flatMap((known) => known.get(worker) ?? []);
      if (states.length > 0) {
        this.#metrics.workerConnections.set({ worker }, states.filter(Boolean).length);
        continue;
      }
      this.#metrics.workerConnections.remove({ worker });
      this.#metrics.workerResults.remove({ worker });
      this.#metrics.workerAnswerSeconds.remove({ worker });
    }
  }
}
