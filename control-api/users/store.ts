import type { Insertable, Kysely, Selectable, Updateable } from 'kysely';
import { holdAlone } from '../../platform/database/dialect.ts';
import type { Database, UsersTable } from '../../platform/database/schema.ts';

export type UserRow = Selectable<UsersTable>;

export class UserStore {
  readonly #db: Kysely<Database>;
  constructor(db: Kysely<Database>) { this.#db = db; }

  list(after: string | undefined, limit: number): Promise<UserRow[]> {
    let query = this.#db.selectFrom('users').selectAll().orderBy('username').limit(limit);
    if (after !== undefined) query = query.where('username', '>', after);
    return query.execute();
  }

  get(id: string): Promise<UserRow | undefined> {
    return this.#db.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst();
  }

  byName(username: string): Promise<UserRow | undefined> {
    return this.#db.selectFrom('users').selectAll().where('username', '=', username).executeTakeFirst();
  }

  /** False when the name is taken. */
  async insert(row: Insertable<UsersTable>): Promise<boolean> {
    const result = await this.#db.insertInto('users').values(row).onConflict((conflict) => conflict.column('username').doNothing()).executeTakeFirst();
    return result.numInsertedOrUpdatedRows === 1n;
  }

  async update(id: string, change: Updateable<UsersTable>): Promise<void> {
    await this.#db.updateTable('users').set(change).where('id', '=', id).execute();
  }

  /** As `update`, but false, and nothing is changed, when no other administrator could log in. Decided alone: the last two cannot give each other up. */
  updateUnlessLastAdmin(id: string, change: Updateable<UsersTable>): Promise<boolean> {
    return this.#db.transaction().execute(async (tx) => {
      await holdAlone(tx, 'administrators');
      const admins = await tx.selectFrom('users').select('id').where('role', '=', 'admin').where('disabled_at', 'is', null).limit(2).execute();
      if (admins.length === 1 && admins[0]?.id === id) return false;
      await tx.updateTable('users').set(change).where('id', '=', id).execute();
      return true;
    });
  }

  async delete(id: string): Promise<void> {
    await this.#db.deleteFrom('users').where('id', '=', id).execute();
  }

  async count(): Promise<number> {
    const { count } = await this.#db.selectFrom('users').select((e) => e.fn.countAll<number>().as('count')).executeTakeFirstOrThrow();
    return count;
  }
}
