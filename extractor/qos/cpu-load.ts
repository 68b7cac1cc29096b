import { cpus } from 'node:os';

/** Busy share of this machine's cores since the last call, 0..1; the first time 0. */
export class CpuLoad {
  #busy = 0;
  #all = 0;

  take(): number {
    let [busy, all] = [0, 0];
    for (const { times } of cpus()) {
      const sum = times.user + times.nice + times.sys + times.irq + times.idle;
      all += sum;
      busy += sum - times.idle;
    }
    const share = this.#all === 0 || all <= this.#all ? 0 : (busy - this.#busy) / (all - this.#all);
    this.#busy = busy;
    this.#all = all;
    return share;
  }
}
