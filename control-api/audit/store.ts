import { sql } from 'kysely';
import type { Insertable, Kysely, Selectable } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import { dialectOf, holdAlone } from '../../platform/database/dialect.ts';
import type { AuditTable, Database } from '../../platform/database/schema.ts';

export type AuditRow = Selectable<AuditTable>;

export class AuditStore {
  readonly #db: Kysely<Database>;
  constructor(db: Kysely<Database>) { this.#db = db; }

  async insert(rows: readonly Insertable<AuditTable>[]): Promise<void> {
    await this.#db.insertInto('audit').values([...rows]).execute();
  }

  /** Deletes at most `limit` entries from before `cutoff`; how many. */
  async deleteBefore(cutoff: Milliseconds, limit: number): Promise<number> {
    const result = await this.#db
      .deleteFrom('audit')
      .where('id', 'in', (e) => e.selectFrom('audit').select('id').where('at', '<', cutoff).orderBy('at').limit(limit).$if(dialectOf(this.#db).shared, (query) => query.forUpdate().skipLocked()))
      .executeTakeFirst();
    return Number(result.numDeletedRows);
  }

  /**
   * Deletes at most `limit` of the entries beyond `keep`; how many. Denials go first, the oldest at the front: whoever is denied may be
   * anybody, and must not be able to push out what was done.
   */
  trim(keep: number, limit: number): Promise<number> {
    return this.#db.transaction().execute(async (tx) => {
      // Two that counted the same excess would delete it twice.
      await holdAlone(tx, 'audit trim');
      const { rows } = await tx.selectFrom('audit').select((e) => e.fn.countAll<number>().as('rows')).executeTakeFirstOrThrow();
      const excess = Math.min(rows - keep, limit);
      if (excess <= 0) return 0;
      const denied = await tx
        .deleteFrom('audit')
        .where('id', 'in', (e) => e.selectFrom('audit').select('id').where('result', '=', sql.lit('denied')).orderBy('id').limit(excess))
        .executeTakeFirst();
      const left = excess - Number(denied.numDeletedRows);
      if (left > 0) await tx.deleteFrom('audit').where('id', 'in', (e) => e.selectFrom('audit').select('id').orderBy('id').limit(left)).execute();
      return excess;
    });
  }

  /** Newest first. */
  list(filter: { readonly principal?: string; readonly action?: string; readonly result?: string; readonly from?: number; readonly to?: number; readonly before?: number; readonly limit: number }): Promise<AuditRow[]> {
    let query = this.#db.selectFrom('audit').selectAll().orderBy('id', 'desc').limit(filter.limit);
    if (filter.principal !== undefined) query = query.where('principal', '=', filter.principal);
    if (filter.action !== undefined) query = query.where('action', '=', filter.action);
    if (filter.result !== undefined) query = query.where('result', '=', filter.result);
    if (filter.from !== undefined) query = query.where('at', '>=', filter.from);
    if (filter.to !== undefined) query = query.where('at', '<', filter.to);
    if (filter.before !== undefined) query = query.where('id', '<', filter.before);
    return query.execute();
  }
}
