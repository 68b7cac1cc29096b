import { hash, randomBytes, randomUUID } from 'node:crypto';
import type { Kysely } from 'kysely';
import type { Clock } from '../../core/clock.ts';
import { MediaError, invariant } from '../../core/errors.ts';
import type { Database } from '../../platform/database/schema.ts';
import type { AccessPrincipal } from '../api-env.ts';
import type { Authenticator } from '../guard.ts';
import { permissionsOf } from '../permissions.ts';
import { ACCESS_SECONDS, AccessTokens } from './access-tokens.ts';
import { LoginAttempts } from './attempts.ts';
import type { AttemptLimits } from './attempts.ts';
import { Passwords } from './passwords.ts';
import { SigningKeys } from './signing-keys.ts';
import { AuthStore } from './store.ts';
import type { LoginUser } from './store.ts';

const ACCESS_MS = ACCESS_SECONDS * 1000;
const REFRESH_MS = 7 * 24 * 3600 * 1000;

export { Passwords } from './passwords.ts';
export interface AuthAudit {
  denied(denial: { readonly principal: string | null; readonly address: string; readonly action: string; readonly target: string; readonly reason: string }): void;
  record(entry: { readonly principal: string | null; readonly action: string; readonly target: string | null; readonly detail?: Readonly<Record<string, unknown>> }): void;
}

export interface AuthServiceOptions {
  readonly db: Kysely<Database>;
  readonly clock: Clock;
  readonly audit: AuthAudit;
  readonly passwords?: Passwords;
  readonly attempts?: AttemptLimits;
}

/** Log-in, tokens and their revocation (spec 2.4). `load()` before anything else. */
export class AuthService implements Authenticator {
  readonly passwords: Passwords;
  readonly #store: AuthStore;
  readonly #clock: Clock;
  readonly #audit: AuthAudit;
  readonly #keys: SigningKeys;
  readonly #access: AccessTokens;
  readonly #attempts: LoginAttempts;
  readonly #listeners = new Set<() => void>();

  constructor(options: AuthServiceOptions) {
    this.#store = new AuthStore(options.db);
    this.#clock = options.clock;
    this.#audit = options.audit;
    this.passwords = options.passwords ?? new Passwords();
    this.#keys = new SigningKeys(options.db, options.clock, ACCESS_MS);
    this.#access = new AccessTokens(this.#keys, options.clock);
    this.#attempts = new LoginAttempts(options.clock, options.attempts);
  }

  /** Reads keys and revocations; also called when another program may have written them. */
  async load(): Promise<void> {
    await this.#keys.load();
    this.#access.setRevoked(await this.#store.revokedTokens(this.#clock.now()));
  }

  authenticate(token: string, connection?: object): AccessPrincipal | Promise<AccessPrincipal> {
    return this.#access.authenticate(token, connection);
  }

  /** Throws UNAUTHENTICATED, after the same time for a wrong name as for a wrong password; RESOURCE_EXHAUSTED after too many. */
  async login(username: string, password: string, address: string) {
    try {
      this.#attempts.begin(address, username);
      const user = await this.#store.userByName(username);
      const right = await this.passwords.verify(password, user?.password_hash ?? null);
      if (!right || user?.disabled_at !== null) throw new MediaError('UNAUTHENTICATED', 'The user name or the password is wrong.', { reason: 'LOGIN_FAILED' });
      this.#attempts.succeeded(address, username);
      this.#audit.record({ principal: user.username, action: 'auth:login', target: null, detail: { address } });
      const tokens = await this.#issue(user, randomUUID(), null);
      invariant(tokens, 'a first token has no predecessor that could be used');
      return tokens;
    } catch (error) {
      if (error instanceof MediaError) this.#audit.denied({ principal: null, address, action: 'auth:login', target: username, reason: error.reason ?? error.code });
      throw error;
    }
  }

  /** A new pair for an unused refresh token; a used one revokes the whole log-in (RFC 9700 §4.14.2). */
  async refresh(refreshToken: string, address: string) {
    const now = this.#clock.now();
    const refuse = (reason: string, principal: string | null = null): MediaError => {
      this.#audit.denied({ principal, address, action: 'auth:refresh', target: '/v1/auth/refresh', reason });
      return new MediaError('UNAUTHENTICATED', 'The refresh token is not valid.', { reason });
    };
    const row = await this.#store.refreshToken(sha256(refreshToken));
    if (row === undefined) throw refuse('REFRESH_INVALID');
    const user = await this.#store.userById(row.user_id);
    if (user?.disabled_at !== null) throw refuse('REFRESH_INVALID');
    if (row.revoked_at !== null) throw refuse('REFRESH_REVOKED', user.username);
    if (row.expires_at <= now) throw refuse('REFRESH_EXPIRED', user.username);
    const tokens = row.used_at === null ? await this.#issue(user, row.family, row.id) : null;
    if (tokens === null) {
      await this.revokeFamily(row.family);
      throw refuse('REFRESH_REUSED', user.username);
    }
    return tokens;
  }

  /**
   * Ends the log-in of the access token, and the one of `refreshToken`, too, if that is another of the same user. An unknown one is no
   * error: it is as good as revoked (RFC 7009 §2.2).
   */
  async logout(principal: Pick<AccessPrincipal, 'id' | 'family'>, refreshToken: string | null): Promise<void> {
    const other = refreshToken === null ? undefined : await this.#store.refreshToken(sha256(refreshToken));
    await this.revokeFamily(principal.family);
    if (other?.user_id === principal.id && other.family !== principal.family) await this.revokeFamily(other.family);
  }

  /** Ends one log-in: its refresh tokens, and its access tokens on every door within a second. */
  async revokeFamily(family: string): Promise<void> {
    await this.#revoke({ family });
  }

  /** Ends all log-ins of a user: after a change of password or role, or when disabled. */
  async revokeUser(userId: string): Promise<void> {
    await this.#revoke({ userId });
  }

  /** RFC 7517. */
  jwks(): Record<string, string>[] {
    // Every member of a public RSA key is a string.
    return this.#keys.public().map(({ jwk }) => Object.fromEntries(Object.entries(jwk).filter((entry): entry is [string, string] => typeof entry[1] === 'string')));
  }

  tokenKeys() {
    return this.#keys.public().map(({ kid, jwk }) => ({ kid, jwk }));
  }

  /** Signs with a new key from now on; resolves with its `kid`. Access tokens signed before stay valid until they expire. */
  async rotateKeys(): Promise<string> {
    const kid = await this.#keys.rotate();
    this.#changed();
    return kid;
  }

  revokedTokens(): Promise<string[]> {
    return this.#store.revokedTokens(this.#clock.now());
  }

  deleteExpired(): Promise<void> {
    return this.#store.deleteExpired(this.#clock.now());
  }

  /** Called when keys or revocations changed. */
  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => { this.#listeners.delete(listener); } };
  }

  async #revoke(by: { readonly family: string } | { readonly userId: string }): Promise<void> {
    await this.#store.revoke(by, this.#clock.now(), { accessMs: ACCESS_MS, refreshMs: REFRESH_MS });
    this.#access.setRevoked(await this.#store.revokedTokens(this.#clock.now()));
    this.#changed();
  }

  /** Null when `predecessor`, the refresh token this pair is given for, was used meanwhile. */
  async #issue(user: LoginUser, family: string, predecessor: string | null) {
    const jti = randomUUID();
    const refreshToken = randomBytes(32).toString('base64url');
    const now = this.#clock.now();
    const row = { id: jti, family, user_id: user.id, hash: sha256(refreshToken), expires_at: now + REFRESH_MS, used_at: null, revoked_at: null };
    if (!(await this.#store.addRefreshToken(row, predecessor, now))) return null;
    return {
      access_token: await this.#access.issue(user, jti, family),
      refresh_token: refreshToken,
      token_type: 'Bearer' as const,
      expires_in: ACCESS_SECONDS,
      user: { id: user.id, username: user.username, role: user.role, permissions: [...permissionsOf(user.role)] },
    };
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

const sha256 = (text: string): string => hash('sha256', text, 'hex');
