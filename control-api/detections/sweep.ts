import type { Clock } from '../../core/clock.ts';
import type { Milliseconds } from '../../core/units.ts';
import { MAX_SIGHTING_MS } from '../sightings.ts';
import type { DetectionStore } from './store.ts';

/** Rows per statement: SQLite answers nobody else meanwhile, and 500 rows take a few milliseconds. */
const BATCH = 500;
/** What a pass over the newest does not come by: events that came late, ranges whose mark was removed. */
const WHOLE_EVERY: Milliseconds = 3_600_000;

interface Pass {
  /** Of each camera, what was seen in [from, cutoff). */
  readonly from: Milliseconds;
  readonly cutoff: Milliseconds;
  /** The camera under way, and where; undefined: the next one behind it. */
  camera: string;
  at: Milliseconds | undefined;
}

/**
 * Deletes what was seen live longer ago than the retention and is in no mark, camera by camera, in steps of a few milliseconds. A pass begins
 * where the last one ended; once an hour one looks at everything between the marks.
 */
export class DetectionSweep {
  readonly #store: DetectionStore;
  readonly #clock: Clock;
  readonly #retentionMs: Milliseconds;
  #pass: Pass | null = null;
  #sweptTo: Milliseconds = 0;
  #wholeAt: Milliseconds = -Infinity;

  constructor(store: DetectionStore, clock: Clock, retentionMs: Milliseconds) {
    this.#store = store;
    this.#clock = clock;
    this.#retentionMs = retentionMs;
  }

  /** Goes on with the pass under way, or begins one. False when it is through. */
  async step(): Promise<boolean> {
    const pass = (this.#pass ??= this.#begin());
    if (pass.at === undefined) {
      const camera = await this.#store.nextSeenLive(pass.camera);
      if (camera === undefined) {
        this.#sweptTo = pass.cutoff;
        this.#pass = null;
        return false;
      }
      pass.camera = camera;
      pass.at = pass.from;
    }
    const at = await this.#store.deleteUnmarked(pass.camera, { from: pass.at, to: pass.cutoff }, BATCH);
    pass.at = at < pass.cutoff ? at : undefined;
    return true;
  }

  #begin(): Pass {
    const now = this.#clock.now();
    const whole = now - this.#wholeAt >= WHOLE_EVERY;
    if (whole) this.#wholeAt = now;
    const cutoff = now - this.#retentionMs;
    // A sighting that had not ended at the last cutoff began so long before it at most.
    return { from: whole ? 0 : Math.min(this.#sweptTo, cutoff) - MAX_SIGHTING_MS, cutoff, camera: '', at: undefined };
  }
}
