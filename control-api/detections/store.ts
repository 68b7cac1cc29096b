import { sql } from 'kysely';
import type { Kysely, Selectable } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import type { Database, DetectionsTable } from '../../platform/database/schema.ts';
import { rowsInGaps, unmarked } from '../marks/service.ts';
import type { Range } from '../marks/service.ts';
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

  /** The next camera behind `after`, in the order of their ids, of which anything seen live is stored. */
  async nextSeenLive(after: string): Promise<string | undefined> {
    const { rows } = await sql<{ camera: string | null }>`
      select min(camera) as camera from (
        select min(camera_id) as camera from detections where analysis_id is null and camera_id > ${after}
        union all select min(camera_id) as camera from sightings where analysed_by = ${sql.lit(SEEN_LIVE)} and camera_id > ${after}) as seen`.execute(this.#db);
    return rows[0]?.camera ?? undefined;
  }

  /**
   * Deletes at most `limit` detections that a camera made live in the range, and as many sightings wholly in it, where no mark covers them. Resolves
   * with where to go on, the end of the range when it is through. Those of an analysis go with it.
   */
  deleteUnmarked(camera: string, range: Range, limit: number): Promise<Milliseconds> {
    return this.#db.transaction().execute(async (tx) => {
      const { gaps, end } = await unmarked(tx, camera, range);
      const detections = await rowsInGaps<{ id: number }>(tx, gaps, {
        columns: sql`r.id`, table: 'detections', where: sql`r.analysis_id is null and r.camera_id = ${camera} and r.captured_at_ms >= g.from_ms and r.captured_at_ms < g.to_ms`, limit,
      });
      if (detections.length > 0) await tx.deleteFrom('detections').where('id', 'in', detections.map(({ id }) => id)).execute();
      const sightings = await rowsInGaps<{ class_name: string; first_ms: number }>(tx, gaps, {
        columns: sql`r.class_name, r.first_ms`, table: 'sightings',
        where: sql`r.analysed_by = ${sql.lit(SEEN_LIVE)} and r.camera_id = ${camera} and r.first_ms >= g.from_ms and r.first_ms < g.to_ms and r.last_ms < g.to_ms`, limit,
      });
      if (sightings.length > 0) {
        const keys = sql.join(sightings.map(({ class_name, first_ms }) => sql`(${class_name}, cast(${first_ms} as double precision))`));
        await sql`delete from sightings where camera_id = ${camera} and analysed_by = ${sql.lit(SEEN_LIVE)} and (class_name, first_ms) in (values ${keys})`.execute(tx);
      }
      return Math.max(detections.length, sightings.length) < limit ? end : (gaps[0]?.from ?? end);
    });
  }
}
