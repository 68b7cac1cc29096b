import type { Kysely, Selectable } from 'kysely';
import type { AlarmsTable, Database } from '../../platform/database/schema.ts';

export type AlarmRow = Selectable<AlarmsTable>;

export interface AlarmFilter {
  readonly camera?: string | undefined;
  readonly raised?: boolean | undefined;
}

/** Alarms as the edges' events wrote them: one row each, raised or cleared. */
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

  /** False when no such alarm is raised. */
  async clear(id: string): Promise<boolean> {
    const result = await this.#db.updateTable('alarms').set({ raised: 0 }).where('id', '=', id).where('raised', '=', 1).executeTakeFirst();
    return result.numUpdatedRows > 0n;
  }

  /** How many are raised, by code. */
  async counts(): Promise<Map<string, number>> {
    const rows = await this.#db.selectFrom('alarms').select(['code', (e) => e.fn.countAll<number>().as('n')]).where('raised', '=', 1).groupBy('code').execute();
    return new Map(rows.map(({ code, n }) => [code, n]));
  }
}
