import { randomBytes, randomUUID } from 'node:crypto';
import type { Kysely } from 'kysely';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { Database } from '../../platform/database/schema.ts';
import type { AuthService } from '../auth/service.ts';
import type { Role } from '../permissions.ts';
import { UserStore } from './store.ts';
import type { UserRow } from './store.ts';

export interface UserChange {
  readonly password?: string | undefined;
  readonly role?: Role | undefined;
  readonly disabled?: boolean | undefined;
}

/** Accounts. Every change that takes something away ends the user's log-ins. */
export class UserService {
  readonly #store: UserStore;
  readonly #auth: Pick<AuthService, 'passwords' | 'revokeUser'>;
  readonly #clock: Clock;

  constructor(db: Kysely<Database>, auth: Pick<AuthService, 'passwords' | 'revokeUser'>, clock: Clock) {
    this.#store = new UserStore(db);
    this.#auth = auth;
    this.#clock = clock;
  }

  list(after: string | undefined, limit: number): Promise<UserRow[]> { return this.#store.list(after, limit); }

  /** Throws NOT_FOUND. */
  async get(id: string): Promise<UserRow> {
    const user = await this.#store.get(id);
    if (user === undefined) throw new MediaError('NOT_FOUND', 'There is no such user.', { reason: 'USER_NOT_FOUND' });
    return user;
  }

  /** Throws NOT_FOUND. */
  async byName(username: string): Promise<UserRow> {
    const user = await this.#store.byName(username);
    if (user === undefined) throw new MediaError('NOT_FOUND', `There is no user ${username}.`, { reason: 'USER_NOT_FOUND' });
    return user;
  }

  /** Throws ALREADY_EXISTS. */
  async create(username: string, password: string, role: Role): Promise<UserRow> {
    const row: UserRow = { id: randomUUID(), username, password_hash: await this.#auth.passwords.hash(password), role, created_at: this.#clock.now(), disabled_at: null };
    if (!(await this.#store.insert(row))) throw new MediaError('ALREADY_EXISTS', `There is a user ${username} already.`, { reason: 'USER_EXISTS' });
    return row;
  }

  /** Throws NOT_FOUND, or FAILED_PRECONDITION when nobody could administer the server afterwards. */
  async change(id: string, change: UserChange): Promise<UserRow> {
    await this.get(id);
    const columns = {
      ...(change.password === undefined ? {} : { password_hash: await this.#auth.passwords.hash(change.password) }),
      ...(change.role === undefined ? {} : { role: change.role }),
      ...(change.disabled === undefined ? {} : { disabled_at: change.disabled ? this.#clock.now() : null }),
      id,
    };
    if ((change.role !== undefined && change.role !== 'admin') || change.disabled === true) {
      if (!(await this.#store.updateUnlessLastAdmin(id, columns))) throw lastAdmin();
    } else await this.#store.update(id, columns);
    await this.#auth.revokeUser(id);
    return this.get(id);
  }

  /** Throws as `change` does. */
  async remove(id: string): Promise<void> {
    await this.get(id);
    if (!(await this.#store.updateUnlessLastAdmin(id, { disabled_at: this.#clock.now() }))) throw lastAdmin();
    // What tells which log-ins to revoke goes with the user.
    await this.#auth.revokeUser(id);
    await this.#store.delete(id);
  }

  /** At the first start: the user `admin`, with the configured password or a random one that the caller prints once. */
  async ensureAdmin(configured: string | undefined): Promise<{ readonly created: boolean; readonly password?: string }> {
    if ((await this.#store.count()) > 0) return { created: false };
    const password = configured ?? randomBytes(12).toString('base64url');
    try {
      await this.create('admin', password, 'admin');
    } catch (error) {
      // Another control process starts at the same time, and tells the password.
      if (error instanceof MediaError && error.code === 'ALREADY_EXISTS') return { created: false };
      throw error;
    }
    return configured === undefined ? { created: true, password } : { created: true };
  }
}

const lastAdmin = (): MediaError => new MediaError('FAILED_PRECONDITION', 'This is the last administrator who can log in.', { reason: 'LAST_ADMIN' });
