import type { Kysely, Transaction } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import { holdAlone } from '../../platform/database/dialect.ts';
import type { Database, RefreshTokensTable } from '../../platform/database/schema.ts';

export interface LoginUser {
  readonly id: string;
  readonly username: string;
  readonly role: string;
  readonly password_hash: string;
  readonly disabled_at: number | null;
}

/** Rows of log-ins. The id of a refresh token is the `jti` of the access token issued with it, so that a log-in can be revoked whole. */
export class AuthStore {
  readonly #db: Kysely<Database>;
  constructor(db: Kysely<Database>) { this.#db = db; }

  userByName(username: string): Promise<LoginUser | undefined> {
    return this.#db.selectFrom('users').select(['id', 'username', 'role', 'password_hash', 'disabled_at']).where('username', '=', username).executeTakeFirst();
  }

  userById(id: string): Promise<LoginUser | undefined> {
    return this.#db.selectFrom('users').select(['id', 'username', 'role', 'password_hash', 'disabled_at']).where('id', '=', id).executeTakeFirst();
  }

  refreshToken(hash: string): Promise<RefreshTokensTable | undefined> {
    return this.#db.selectFrom('refresh_tokens').selectAll().where('hash', '=', hash).executeTakeFirst();
  }

  /**
   * Adds a token, using up its predecessor in the same transaction; false when somebody was faster or it was revoked. So a family that is
   * revoked because of reuse is revoked with the token its last refresh gave.
   */
  addRefreshToken(row: RefreshTokensTable, predecessor: string | null, now: Milliseconds): Promise<boolean> {
    return this.#db.transaction().execute(async (tx) => {
      if (predecessor !== null) {
        await holdAlone(tx, `log-ins of ${row.user_id}`);
        const used = await tx.updateTable('refresh_tokens').set({ used_at: now }).where('id', '=', predecessor).where('used_at', 'is', null).where('revoked_at', 'is', null).executeTakeFirst();
        if (used.numUpdatedRows !== 1n) return false;
      }
      await tx.insertInto('refresh_tokens').values(row).execute();
      return true;
    });
  }

  /** Revokes all of one log-in's, or one user's, refresh tokens and the access tokens issued with them. */
  async revoke(by: { readonly family: string } | { readonly userId: string }, now: Milliseconds, lifetimes: { readonly accessMs: Milliseconds; readonly refreshMs: Milliseconds }): Promise<void> {
    await this.#db.transaction().execute(async (tx) => {
      const [column, value] = 'family' in by ? (['family', by.family] as const) : (['user_id', by.userId] as const);
      const owner = 'userId' in by ? by.userId : (await tx.selectFrom('refresh_tokens').select('user_id').where('family', '=', by.family).limit(1).executeTakeFirst())?.user_id;
      if (owner === undefined) return;
      // A token that another process is giving for one of these would not be among them.
      await holdAlone(tx, `log-ins of ${owner}`);
      const rows = await tx.selectFrom('refresh_tokens').select(['id', 'expires_at']).where(column, '=', value).execute();
      await tx.updateTable('refresh_tokens').set({ revoked_at: now }).where(column, '=', value).where('revoked_at', 'is', null).execute();
      for (const row of rows) await revokeAccess(tx, row.id, row.expires_at - lifetimes.refreshMs + lifetimes.accessMs, now);
    });
  }

  async revokedTokens(now: Milliseconds): Promise<string[]> {
    const rows = await this.#db.selectFrom('revoked_tokens').select('jti').where('expires_at', '>', now).orderBy('jti').execute();
    return rows.map((row) => row.jti);
  }

  async deleteExpired(now: Milliseconds): Promise<void> {
    await this.#db.deleteFrom('revoked_tokens').where('expires_at', '<=', now).execute();
    await this.#db.deleteFrom('refresh_tokens').where('expires_at', '<=', now).execute();
  }
}

const revokeAccess = async (tx: Transaction<Database>, jti: string, expiresAt: Milliseconds, now: Milliseconds): Promise<void> => {
  if (expiresAt <= now) return;
  // A second more than the token: its own expiry is in whole seconds.
  await tx.insertInto('revoked_tokens').values({ jti, expires_at: expiresAt + 1000 }).onConflict((conflict) => conflict.column('jti').doNothing()).execute();
};
