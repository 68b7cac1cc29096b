import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import type { Database } from '../../platform/database/schema.ts';
import { MAX_SIGHTING_MS, SEEN_LIVE } from '../sightings.ts';
import type { Seen } from './timeline.ts';

/** What a time line is made of: a class in one camera's pictures within [from, to). */
export interface TimelineFilter {
  readonly camera: string;
  readonly from: Milliseconds;
  readonly to: Milliseconds;
  readonly className?: string | undefined;
}

export class TimelineStore {
  readonly #db: Kysely<Database>;
  constructor(db: Kysely<Database>) { this.#db = db; }

  /** How many detections of whatever class there are; `limit` when there are as many or more. Read from an index alone. */
  async countDetections({ camera, from, to }: TimelineFilter, limit: number): Promise<number> {
    const some = this.#db.selectFrom('detections').select(sql.lit(1).as('one')).where('camera_id', '=', camera).where('captured_at_ms', '>=', from).where('captured_at_ms', '<', to).limit(limit);
    const { n } = await this.#db.selectFrom(some.as('some')).select((e) => sql<number>`cast(${e.fn.countAll()} as integer)`.as('n')).executeTakeFirstOrThrow();
    return n;
  }

  /** Each class in each picture, in no order. */
  pictures({ camera, from, to, className }: TimelineFilter): Promise<Seen[]> {
    const source = sql<string>`case when analysis_id is null then ${sql.lit(SEEN_LIVE)} else model end`;
    const count = sql<number>`cast(count(*) as integer)`;
    return this.#db.selectFrom('detections')
      .select((e) => ['class_name', source.as('analysed_by'), 'captured_at_ms as first_ms', 'captured_at_ms as last_ms', count.as('count'), count.as('at_once'), e.fn.max('confidence').as('max_confidence')])
      .where('camera_id', '=', camera).where('captured_at_ms', '>=', from).where('captured_at_ms', '<', to)
      .$if(className !== undefined, (query) => query.where('class_name', '=', className ?? ''))
      .groupBy(['class_name', source, 'model', 'captured_at_ms']).execute();
  }

  /** At most `limit` sightings that overlap the time, by their beginning, from behind `after` on. */
  sightings({ camera, from, to, className }: TimelineFilter, after: Seen | undefined, limit: number): Promise<Seen[]> {
    return this.#db.selectFrom('sightings').select(['class_name', 'analysed_by', 'first_ms', 'last_ms', 'count', 'at_once', 'max_confidence'])
      .where('camera_id', '=', camera).where('first_ms', '>=', after?.first_ms ?? from - MAX_SIGHTING_MS).where('first_ms', '<', to).where('last_ms', '>=', from)
      .$if(className !== undefined, (query) => query.where('class_name', '=', className ?? ''))
      .$if(after !== undefined, (query) => query.where(sql<boolean>`(first_ms, class_name, analysed_by) > (${after?.first_ms}, ${after?.class_name}, ${after?.analysed_by})`))
      .orderBy('first_ms').orderBy('class_name').orderBy('analysed_by').limit(limit).execute();
  }
}
