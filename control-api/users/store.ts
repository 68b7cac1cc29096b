import type { Insertable, Kysely, Selectable, Updateable } from 'kysely';
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

  async delete(id: string): Promise<void> {
    await this.#db.deleteFrom('users').where('id', '=', id).execute();
  }

  /** Administrators who can log in, but for `except`. */
  async otherAdmins(except: string): Promise<number> {
    const { count } = await this.#db.selectFrom('users').select((e) => e.fn.countAll<number>().as('count')).where('role', '=', 'admin').where('disabled_at', 'is', null).where('id', '!=', except).executeTakeFirstOrThrow();
    return count;
  }

  async count(): Promise<number> {
    const { count } = await this.#db.selectFrom('users').select((e) => e.fn.countAll<number>().as('count')).executeTakeFirstOrThrow();
    return count;
  }
}
