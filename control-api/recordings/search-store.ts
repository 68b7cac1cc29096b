import { sql } from 'kysely';
import type { Kysely, Selectable } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import { dialectOf } from '../../platform/database/dialect.ts';
import type { Database, SightingsTable } from '../../platform/database/schema.ts';
import { MAX_SIGHTING_MS, SEEN_LIVE } from '../sightings.ts';
import { recordedQuery } from './recorded-query.ts';
import type { RecordedRow, Stretch } from './recorded-query.ts';
import type { SeenFilter } from './search.ts';

export type SightingRow = Selectable<SightingsTable>;

/** Beginning, camera and `analysed_by` of the last sighting of the page before. */
export type SightingPosition = readonly [number, string, string];

export class SearchStore {
  readonly #db: Kysely<Database>;
  constructor(db: Kysely<Database>) { this.#db = db; }

  /** Sightings of a class that overlap the range, newest first. */
  sightings(filter: { readonly cameras?: readonly string[] | undefined; readonly from?: Milliseconds | undefined; readonly to?: Milliseconds | undefined }, seen: SeenFilter, before: SightingPosition | undefined, limit: number): Promise<SightingRow[]> {
    const { cameras, from, to } = filter;
    let query = this.#db.selectFrom('sightings').selectAll().where('class_name', '=', seen.className).orderBy('first_ms', 'desc').orderBy('camera_id', 'desc').orderBy('analysed_by', 'desc').limit(limit);
    const [only] = cameras ?? [];
    if (only !== undefined && cameras?.length === 1) query = query.where('camera_id', '=', only);
    // Not by the index of cameras, whose rows are not in order of time across them.
    else if (cameras !== undefined) query = query.where(sql`coalesce(camera_id, null)`, 'in', cameras.length === 0 ? [null] : cameras);
    if (seen.minCount !== undefined) query = query.where('count', '>=', seen.minCount);
    if (seen.minAtOnce !== undefined) query = query.where('at_once', '>=', seen.minAtOnce);
    if (seen.minConfidence !== undefined) query = query.where('max_confidence', '>=', seen.minConfidence);
    if (seen.source !== undefined) query = query.where('analysed_by', seen.source === 'live' ? '=' : '!=', SEEN_LIVE);
    if (to !== undefined) query = query.where('first_ms', '<', to);
    if (from !== undefined) query = query.where('first_ms', '>=', from - MAX_SIGHTING_MS).where('last_ms', '>=', from);
    if (before !== undefined) {
      const [first, camera, analysedBy] = before;
      // The first condition is implied by the second; it lets the database seek in the index.
      query = query.where('first_ms', '<=', first).where((e) => e.or([e('first_ms', '<', first), e('camera_id', '<', camera), e.and([e('camera_id', '=', camera), e('analysed_by', '<', analysedBy)])]));
    }
    return query.execute();
  }

  /** What is recorded of each stretch, by its number in the list. */
  async recorded(stretches: readonly Stretch[]): Promise<Map<number, RecordedRow>> {
    if (stretches.length === 0) return new Map();
    const { rows } = await recordedQuery(dialectOf(this.#db), stretches).execute(this.#db);
    return new Map(rows.map((row) => [row.i, row]));
  }
}
