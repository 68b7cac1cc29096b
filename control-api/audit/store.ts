import type { Insertable, Kysely, Selectable } from 'kysely';
import type { AuditTable, Database } from '../../platform/database/schema.ts';

export type AuditRow = Selectable<AuditTable>;

export class AuditStore {
  readonly #db: Kysely<Database>;
  constructor(db: Kysely<Database>) { this.#db = db; }

  async insert(rows: readonly Insertable<AuditTable>[]): Promise<void> {
    await this.#db.insertInto('audit').values([...rows]).execute();
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
