import type { Kysely } from 'kysely';
import type { Clock } from '../../core/clock.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Database } from '../../platform/database/schema.ts';
import type { Logger } from '../../platform/logging.ts';
import { presencesOf } from './presence.ts';
import type { Presence } from './presence.ts';
import { DetectionStore } from './store.ts';
import type { DetectionFilter, DetectionRow } from './store.ts';
import { DetectionSweep } from './sweep.ts';
import { readTimeline } from './timeline-reader.ts';
import type { CountedTime } from './timeline-reader.ts';
import { TimelineStore } from './timeline-store.ts';
import type { Buckets } from './timeline.ts';

const SWEEP_MS: Milliseconds = 60_000;
const PAUSE_MS: Milliseconds = 50;
/** Ten hours of one class, or ten minutes of sixty. */
const MAX_SECONDS = 36_000;

export type { Presence } from './presence.ts';
export type { DetectionRow } from './store.ts';

/** Stored detections, and their end and that of the sightings that sum them up: after `detections.retention_hours`, where no mark keeps them. */
export class DetectionService implements Disposable {
  readonly #store: DetectionStore;
  readonly #sweep: DetectionSweep;
  readonly #timeline: TimelineStore;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #timer: Disposable | null = null;
  #disposed = false;

  constructor(options: { readonly db: Kysely<Database>; readonly clock: Clock; readonly logger: Logger; readonly retentionHours: number }) {
    this.#store = new DetectionStore(options.db);
    this.#timeline = new TimelineStore(options.db);
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#sweep = new DetectionSweep(this.#store, options.clock, options.retentionHours * 3_600_000);
  }

  list(filter: DetectionFilter, order: 'asc' | 'desc', after: readonly [number, number] | undefined, limit: number): Promise<DetectionRow[]> {
    return this.#store.list(filter, order, after, limit);
  }

  /** When which class was in the picture of `camera` within [from, to). What is beyond 36,000 class-seconds is left out. */
  async presences(camera: string, from: Milliseconds, to: Milliseconds): Promise<Presence[]> {
    return presencesOf(await this.#store.seconds(camera, from, to, MAX_SECONDS));
  }

  /** What `camera` saw in each bucket; of whatever class unless one is named. Throws UNPROCESSABLE where that is too much to be read. */
  timeline(camera: string, buckets: Buckets, className?: string): Promise<CountedTime> {
    return readTimeline(this.#timeline, camera, className, buckets);
  }

  /** Begins to delete what is too old, in small batches, from now on. */
  start(): void {
    this.#schedule(SWEEP_MS);
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#timer?.[Symbol.dispose]();
  }

  #schedule(delay: Milliseconds): void {
    if (this.#disposed) return;
    this.#timer = this.#clock.after(delay, () => { void this.#step(); });
  }

  async #step(): Promise<void> {
    try {
      this.#schedule((await this.#sweep.step()) ? PAUSE_MS : SWEEP_MS);
    } catch (error) {
      if (!this.#disposed) this.#logger.error({ err: error }, 'old detections not deleted');
      this.#schedule(SWEEP_MS);
    }
  }
}
