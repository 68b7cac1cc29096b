import { sql } from 'kysely';
import type { Transaction } from 'kysely';
import type { Milliseconds } from '../core/units.ts';
import type { Database } from '../platform/database/schema.ts';

/** No sighting is longer; so a query for a time need not look at those from before that. */
export const MAX_SIGHTING_MS: Milliseconds = 600_000;

/** A class that was not seen for longer is another sighting when it comes again. */
export const BREAK_MS: Milliseconds = 10_000;

/** `analysed_by` of what was seen live. */
export const SEEN_LIVE = '';

/**
 * Removes those of a stretch of a camera's time of which nothing is listed any more: a search could not show them. `analysed_by`: only
 * what analyses by these models have found.
 */
export const forgetSightings = async (tx: Transaction<Database>, camera: string, from: Milliseconds, to: Milliseconds, analysedBy?: readonly string[]): Promise<void> => {
  await tx
    .deleteFrom('sightings')
    .where('camera_id', '=', camera).where('first_ms', '>=', from - MAX_SIGHTING_MS).where('first_ms', '<', to).where('last_ms', '>=', from)
    .$if(analysedBy !== undefined, (query) => query.where('analysed_by', 'in', [...(analysedBy ?? [])]))
    .where((e) =>
      e.not(e.exists(
        e.selectFrom('segments as g').select('g.id').where('g.camera_id', '=', camera).where('g.expired_at', 'is', null)
          .whereRef('g.start_ms', '<=', 'sightings.last_ms').whereRef('g.end_ms', '>', 'sightings.first_ms')
          // Segments follow each other, but for small overlaps: a few rows back are enough.
          .where('g.start_ms', '>=', sql<number>`coalesce((select c.start_ms from segments c where c.camera_id = ${camera} and c.expired_at is null and c.start_ms <= sightings.first_ms order by c.start_ms desc limit 1 offset 3), 0)`),
      )),
    )
    .execute();
};
