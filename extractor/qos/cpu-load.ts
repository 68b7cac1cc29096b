import { cpus } from 'node:os';
import type { CpuInfo } from 'node:os';

/** Busy share of this machine's cores since the last call, 0..1; the first time 0. What runs `nice` leaves its time to others: it may be left out. */
export class CpuLoad {
  readonly #nice: 'busy' | 'idle';
  readonly #read: () => readonly Pick<CpuInfo, 'times'>[];
  #busy = 0;
  #all = 0;

  /** `read`: for tests. */
  constructor(nice: 'busy' | 'idle' = 'busy', read: () => readonly Pick<CpuInfo, 'times'>[] = cpus) {
    this.#nice = nice;
    this.#read = read;
  }

  take(): number {
    let [busy, all] = [0, 0];
    for (const { times } of this.#read()) {
      const sum = times.user + times.nice + times.sys + times.irq + times.idle;
      all += sum;
      busy += sum - times.idle - (this.#nice === 'idle' ? times.nice : 0);
    }
    const share = this.#all === 0 || all <= this.#all ? 0 : (busy - this.#busy) / (all - this.#all);
    this.#busy = busy;
    this.#all = all;
    return share;
  }
}
