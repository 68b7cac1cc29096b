import { sql } from 'kysely';
import type { Kysely, Selectable } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import { dialectOf } from '../../platform/database/dialect.ts';
import type { Database, DetectionsTable } from '../../platform/database/schema.ts';
import { SEEN_LIVE } from '../sightings.ts';
import type { DetectedSecond } from './presence.ts';

export type DetectionRow = Selectable<DetectionsTable>;

export interface DetectionFilter {
  readonly camera?: string | undefined;
  readonly from?: Milliseconds | undefined;
  readonly to?: Milliseconds | undefined;
  readonly className?: string | undefined;
  readonly minConfidence?: number | undefined;
  readonly model?: string | undefined;
  /** Default: live. An `analysis` is its own answer. */
  readonly source?: 'live' | 'analysis' | undefined;
  readonly analysis?: string | undefined;
}

export class DetectionStore {
  readonly #db: Kysely<Database>;
  constructor(db: Kysely<Database>) { this.#db = db; }

  list(filter: DetectionFilter, order: 'asc' | 'desc', after: readonly [number, number] | undefined, limit: number): Promise<DetectionRow[]> {
    let query = this.#db.selectFrom('detections').selectAll().orderBy('captured_at_ms', order).orderBy('id', order).limit(limit);
    if (filter.camera !== undefined) query = query.where('camera_id', '=', filter.camera);
    if (filter.from !== undefined) query = query.where('captured_at_ms', '>=', filter.from);
    if (filter.to !== undefined) query = query.where('captured_at_ms', '<', filter.to);
    if (filter.className !== undefined) query = query.where('class_name', '=', filter.className);
    if (filter.minConfidence !== undefined) query = query.where('confidence', '>=', filter.minConfidence);
    if (filter.model !== undefined) query = query.where('model', '=', filter.model);
    if (filter.analysis !== undefined) query = query.where('analysis_id', '=', filter.analysis);
    else query = query.where('analysis_id', filter.source === 'analysis' ? 'is not' : 'is', null);
    if (after !== undefined) {
      const [at, id] = after;
      const beyond = order === 'asc' ? '>' : '<';
      // The first condition is implied by the second; it lets SQLite seek in the index.
      query = query.where('captured_at_ms', order === 'asc' ? '>=' : '<=', at).where((e) => e.or([e('captured_at_ms', beyond, at), e('id', beyond, id)]));
    }
    return query.execute();
  }

  /** What was detected in each second of [from, to), sorted by class and time; at most `limit` rows. Live and each model of analyses see the same objects: the one that says the most counts. */
  seconds(camera: string, from: Milliseconds, to: Milliseconds, limit: number): Promise<DetectedSecond[]> {
    const second = sql<number>`cast(floor(captured_at_ms / 1000.0) as integer)`;
    const source = sql<string>`case when analysis_id is null then ${sql.lit(SEEN_LIVE)} else model end`;
    const bySource = this.#db.selectFrom('detections')
      .select((e) => ['class_name', second.as('second'), sql<number>`cast(${e.fn.countAll()} as integer)`.as('n'), e.fn.max('confidence').as('confidence')])
      .where('camera_id', '=', camera).where('captured_at_ms', '>=', from).where('captured_at_ms', '<', to)
      .groupBy(['class_name', second, source]);
    return this.#db.selectFrom(bySource.as('seen'))
      .select((e) => ['class_name', 'second', e.fn.max('n').as('count'), e.fn.max('confidence').as('max_confidence')])
      .groupBy(['class_name', 'second']).orderBy('class_name').orderBy('second').limit(limit).execute();
  }

  /** Deletes at most `limit` rows made live and captured before `cutoff`; how many. Those of an analysis go with it. */
  async deleteBefore(cutoff: Milliseconds, limit: number): Promise<number> {
    const result = await this.#db
      .deleteFrom('detections')
      .where('id', 'in', (e) => e.selectFrom('detections').select('id').where('analysis_id', 'is', null).where('captured_at_ms', '<', cutoff).orderBy('captured_at_ms').limit(limit).$if(dialectOf(this.#db).shared, (query) => query.forUpdate().skipLocked()))
      .executeTakeFirst();
    return Number(result.numDeletedRows);
  }

  /** Deletes at most `limit` sightings made live that ended before `cutoff`: the detections they sum up are gone. How many. Those of an analysis go with it. */
  async deleteSightingsBefore(cutoff: Milliseconds, limit: number): Promise<number> {
    const locked = dialectOf(this.#db).shared ? sql`for update skip locked` : sql``;
    const result = await sql`
      delete from sightings where analysed_by = ${sql.lit(SEEN_LIVE)} and (camera_id, class_name, first_ms) in (
        select camera_id, class_name, first_ms from sightings where analysed_by = ${sql.lit(SEEN_LIVE)} and first_ms < ${cutoff} and last_ms < ${cutoff} order by first_ms limit ${limit} ${locked})`.execute(this.#db);
    return Number(result.numAffectedRows ?? 0);
  }
}
