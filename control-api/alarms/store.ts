import type { Kysely, Selectable } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import { dialectOf } from '../../platform/database/dialect.ts';
import type { AlarmsTable, Database } from '../../platform/database/schema.ts';

export type AlarmRow = Selectable<AlarmsTable>;

export interface AlarmFilter {
  readonly camera?: string | undefined;
  readonly raised?: boolean | undefined;
}

/** Alarms as the edges' events and this process wrote them: one row each, raised or cleared. */
export class AlarmStore {
  readonly #db: Kysely<Database>;
  constructor(db: Kysely<Database>) { this.#db = db; }

  /** Newest change first. */
  list({ camera, raised }: AlarmFilter, after: readonly [number, string] | undefined, limit: number): Promise<AlarmRow[]> {
    let query = this.#db.selectFrom('alarms').selectAll().orderBy('at', 'desc').orderBy('id', 'desc').limit(limit);
    if (camera !== undefined) query = query.where('camera_id', '=', camera);
    if (raised !== undefined) query = query.where('raised', '=', raised ? 1 : 0);
    if (after !== undefined) {
      const [at, id] = after;
      query = query.where((e) => e.or([e('at', '<', at), e.and([e('at', '=', at), e('id', '<', id)])]));
    }
    return query.execute();
  }

  async put(alarm: AlarmRow): Promise<void> {
    const { id: _id, ...changes } = alarm;
    await this.#db.insertInto('alarms').values(alarm).onConflict((conflict) => conflict.column('id').doUpdateSet(changes)).execute();
  }

  /** False when no such alarm is raised. */
  async clear(id: string, now: Milliseconds): Promise<boolean> {
    const result = await this.#db.updateTable('alarms').set({ raised: 0, at: now }).where('id', '=', id).where('raised', '=', 1).executeTakeFirst();
    return result.numUpdatedRows > 0n;
  }

  /** Deletes at most `limit` that were cleared before `cutoff`; how many. */
  async deleteCleared(cutoff: Milliseconds, limit: number): Promise<number> {
    const result = await this.#db
      .deleteFrom('alarms')
      .where('id', 'in', (e) => e.selectFrom('alarms').select('id').where('raised', '=', 0).where('at', '<', cutoff).orderBy('at').limit(limit).$if(dialectOf(this.#db).shared, (query) => query.forUpdate().skipLocked()))
      .executeTakeFirst();
    return Number(result.numDeletedRows);
  }

  /** Deletes at most `limit` of these codes, raised or not, that are from before `cutoff` or behind the newest `keep`; how many. */
  async deletePast(codes: readonly string[], cutoff: Milliseconds, keep: number, limit: number): Promise<number> {
    const newestTooMany = await this.#db.selectFrom('alarms').select(['at', 'id']).where('code', 'in', codes).orderBy('at', 'desc').orderBy('id', 'desc').limit(1).offset(keep).executeTakeFirst();
    const result = await this.#db
      .deleteFrom('alarms')
      .where('id', 'in', (e) => {
        const old = e('at', '<', cutoff);
        const many = newestTooMany === undefined ? [] : [e('at', '<', newestTooMany.at), e.and([e('at', '=', newestTooMany.at), e('id', '<=', newestTooMany.id)])];
        return e.selectFrom('alarms').select('id').where('code', 'in', codes).where(e.or([old, ...many])).orderBy('at').limit(limit).$if(dialectOf(this.#db).shared, (query) => query.forUpdate().skipLocked());
      })
      .executeTakeFirst();
    return Number(result.numDeletedRows);
  }

  /** How many are raised, by code. */
  async counts(): Promise<Map<string, number>> {
    const rows = await this.#db.selectFrom('alarms').select(['code', (e) => e.fn.countAll<number>().as('n')]).where('raised', '=', 1).groupBy('code').execute();
    return new Map(rows.map(({ code, n }) => [code, n]));
  }
}
