import type { Milliseconds } from '../core/units.ts';

/** What is known of a worker that has credit. */
export interface WorkerLoad {
  /** It is on this machine: pictures do not travel. */
  readonly local: boolean;
  /** Pictures it has been sent and not answered. */
  readonly unanswered: number;
  /** For one picture; 0: not known. */
  readonly expectedMs: Milliseconds;
}

/** The worker from which the answer is to be expected first; of equals the one with less to do, then a local one, then the first. One that is not known yet is tried. */
export const chooseWorker = <W extends WorkerLoad>(workers: readonly W[]): W | undefined =>
  workers.reduce<W | undefined>((best, worker) => (best === undefined || isBetter(worker, best) ? worker : best), undefined);

const isBetter = (a: WorkerLoad, b: WorkerLoad): boolean => {
  const sooner = a.expectedMs * (a.unanswered + 1) - b.expectedMs * (b.unanswered + 1);
  if (sooner !== 0) return sooner < 0;
  if (a.unanswered !== b.unanswered) return a.unanswered < b.unanswered;
  return a.local && !b.local;
};
