import { MediaError, messageOf } from '../../core/errors.ts';
import type { Clock } from '../../core/clock.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { ObjectStore } from '../../platform/object-store/object-store.ts';
import { archiveKey } from './keys.ts';
import type { ArchivedSegment, ArchiveStore } from './store.ts';

export interface ArchiveSweepOptions {
  readonly store: ArchiveStore;
  readonly objects: ObjectStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'archiveDeleted'>;
  /** So long after the last mark went. */
  readonly grace: Milliseconds;
}

/** Segments per step. */
const STEP = 200;

/**
 * Deletes from the archive what no mark has wanted for the grace. Only what the index knows: an object nobody knows is never deleted. One under a
 * legal hold stays, is still listed and played, and is counted.
 */
export class ArchiveSweep {
  readonly #options: ArchiveSweepOptions;
  readonly #signal: AbortSignal;

  constructor(options: ArchiveSweepOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  /** Looks at some after `after` (by id); resolves with where to go on, undefined when it is through. */
  async step(after: string): Promise<string | undefined> {
    const { store, clock, grace } = this.#options;
    const now = clock.now();
    const rows = await store.archived(after, STEP);
    await store.setUnmarked(rows.filter((row) => row.covered === 0 && row.unmarked_at === null).map(({ id }) => id), now);
    await store.setUnmarked(rows.filter((row) => row.covered === 1 && row.unmarked_at !== null).map(({ id }) => id), null);
    for (const row of rows) {
      if (row.covered === 0 && row.unmarked_at !== null && row.unmarked_at <= now - grace) await this.#delete(row);
    }
    return rows.length < STEP ? undefined : rows.at(-1)?.id;
  }

  /** Throws what the store says, save that the object is held. */
  async #delete({ id, bytes }: ArchivedSegment): Promise<void> {
    const { store, objects, clock, logger, metrics } = this.#options;
    const key = archiveKey(id);
    try {
      if (key !== undefined) await objects.delete(key, this.#signal);
    } catch (error) {
      const held = error instanceof MediaError && error.reason === 'OBJECT_LOCKED';
      metrics.archiveDeleted.inc({ result: held ? 'held' : 'failed' });
      if (!held) throw error;
      logger.info({ segment: id, reason: messageOf(error) }, 'an archived segment no mark wants stays');
      return;
    }
    await store.setRemoved(id, clock.now());
    metrics.archiveDeleted.inc({ result: 'deleted' });
    logger.info({ segment: id, bytes }, 'an archived segment no mark wants was deleted');
  }
}
