import type { Kysely } from 'kysely';
import type { ArchiveConfig } from '../../config/archive.ts';
import type { Clock } from '../../core/clock.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Database } from '../../platform/database/schema.ts';
import type { Logger } from '../../platform/logging.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { ObjectStore } from '../../platform/object-store/object-store.ts';
import type { AlarmService } from '../alarms/service.ts';
import { Archiver } from './archiver.ts';
import { ArchiveOutage } from './outage.ts';
import { ArchiveStore } from './store.ts';
import { ArchiveSweep } from './sweep.ts';

export interface ArchiveServiceOptions {
  readonly db: Kysely<Database>;
  readonly objects: ObjectStore;
  readonly pathOf: (segmentId: string) => string;
  readonly config: ArchiveConfig;
  readonly alarms: AlarmService;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface ArchiveStatus {
  /** Without secrets. */
  readonly place: string;
  /** Since when it has taken nothing, Unix ms; null: it does, or nothing was tried. */
  readonly unavailableSince: Milliseconds | null;
  readonly error: string | null;
  readonly waiting: { readonly segments: number; readonly bytes: number; readonly oldest: Milliseconds | null };
  readonly uploading: number;
  /** Unix ms, since the start of this process. */
  readonly lastArchivedAt: Milliseconds | null;
}

/** Uploads nobody goes on with are given up after this. */
const STALE_MS: Milliseconds = 48 * 3_600_000;

/** Marked recordings in the object store: what copies them there, what deletes them, and how that goes. */
export class ArchiveService implements AsyncDisposable {
  readonly #options: ArchiveServiceOptions;
  readonly #store: ArchiveStore;
  readonly #outage: ArchiveOutage;
  readonly #archiver: Archiver;
  readonly #sweep: ArchiveSweep;
  readonly #stop = new AbortController();

  constructor(options: ArchiveServiceOptions) {
    this.#options = options;
    const { db, objects, pathOf, config, alarms, clock, logger, metrics } = options;
    this.#store = new ArchiveStore(db);
    this.#outage = new ArchiveOutage({ alarms, place: objects.place, clock, logger });
    this.#archiver = new Archiver({
      store: this.#store, objects, pathOf, outage: this.#outage, alarms, clock, logger, metrics,
      concurrency: config.concurrency, maxBitsPerSecond: config.max_bits_per_second, legalHold: config.legal_hold,
    });
    this.#sweep = new ArchiveSweep({ store: this.#store, objects, clock, logger, metrics, grace: config.delete_after_hours * 3_600_000 }, this.#stop.signal);
  }

  start(): void {
    this.#archiver.start();
  }

  /** For the hourly sweep: deletes what no mark wants; where to go on. */
  async deleteUnmarked(after: string): Promise<string | undefined> {
    return this.#sweep.step(after);
  }

  /** For the hourly sweep. */
  async abortStale(): Promise<void> {
    await this.#options.objects.abortStale(this.#options.clock.now() - STALE_MS, this.#stop.signal);
  }

  async status(): Promise<ArchiveStatus> {
    let segments = 0;
    let bytes = 0;
    let oldest: number | null = null;
    for (let after: string | undefined = ''; after !== undefined;) {
      const sum = await this.#store.countWaiting(after);
      segments += sum.segments;
      bytes += sum.bytes;
      if (sum.oldest !== null) oldest = Math.min(oldest ?? Infinity, sum.oldest);
      after = sum.next;
    }
    const { since: unavailableSince, error } = this.#outage;
    return { place: this.#options.objects.place, unavailableSince, error, waiting: { segments, bytes, oldest }, uploading: this.#archiver.uploading, lastArchivedAt: this.#archiver.lastArchivedAt };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the archive stops'));
    await this.#archiver[Symbol.asyncDispose]();
  }
}
