import type { Clock } from '../core/clock.ts';
import type { DetectionResult } from '../core/detection.ts';
import type { Milliseconds } from '../core/units.ts';
import type { EventJournal } from '../media-control/port.ts';

const FLUSH_PERIOD_MS: Milliseconds = 200;
/** A batch stays a small event however many cameras there are. */
const MAX_BATCH = 200;

/** Gathers results into journal events: one every 200 ms instead of one per picture. */
export class DetectionLog implements Disposable {
  readonly #journal: EventJournal;
  readonly #timer: Disposable;
  #batch: DetectionResult[] = [];

  constructor(journal: EventJournal, clock: Clock) {
    this.#journal = journal;
    this.#timer = clock.every(FLUSH_PERIOD_MS, () => { this.flush(); });
  }

  add(result: DetectionResult): void {
    this.#batch.push(result);
    if (this.#batch.length >= MAX_BATCH) this.flush();
  }

  flush(): void {
    if (this.#batch.length === 0) return;
    const results = this.#batch;
    this.#batch = [];
    this.#journal.append({ type: 'detections', results });
  }

  /** Writes what is left. */
  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
    this.flush();
  }
}
