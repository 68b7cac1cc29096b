/** Access tokens: JWT (RFC 7519) by RS256. A token once verified is known by its hash until it expires or is revoked (D-13). */
import { hash } from 'node:crypto';
import { SignJWT, errors, jwtVerify } from 'jose';
import { LRUCache } from 'lru-cache';
import * as z from 'zod';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import { TOKEN_ISSUER } from '../api-env.ts';
import type { AccessPrincipal } from '../api-env.ts';
import { permissionsOf } from '../permissions.ts';
import type { SigningKeys } from './signing-keys.ts';

export const ACCESS_SECONDS = 8 * 3600;
const MAX_TOKEN = 4096;

const Claims = z.looseObject({
  sub: z.string(), username: z.string(), role: z.string(), permissions: z.array(z.string()), jti: z.string(), sid: z.string(), exp: z.number(),
});

export class AccessTokens {
  readonly #keys: SigningKeys;
  readonly #clock: Clock;
  readonly #verified = new LRUCache<string, AccessPrincipal>({ max: 10_000 });
  /** The token a kept connection showed last: the next request of it shows the same, and comparing is cheaper than hashing. */
  readonly #lastOf = new WeakMap<object, { readonly token: string; readonly digest: string }>();
  #revoked: ReadonlySet<string> = new Set();

  constructor(keys: SigningKeys, clock: Clock) {
    this.#keys = keys;
    this.#clock = clock;
  }

  async issue(user: { readonly id: string; readonly username: string; readonly role: string }, jti: string, family: string): Promise<string> {
    const { kid, key } = this.#keys.signing();
    const seconds = Math.floor(this.#clock.now() / 1000);
    return new SignJWT({ username: user.username, role: user.role, permissions: [...permissionsOf(user.role)], sid: family })
      .setProtectedHeader({ alg: 'RS256', kid, typ: 'at+jwt' })
      .setIssuer(TOKEN_ISSUER).setSubject(user.id).setJti(jti).setIssuedAt(seconds).setExpirationTime(seconds + ACCESS_SECONDS)
      .sign(key);
  }

  /** The `jti`s that count as revoked from now on, all of them. */
  setRevoked(jtis: Iterable<string>): void {
    this.#revoked = new Set(jtis);
  }

  /** Throws UNAUTHENTICATED: not ours, expired or revoked. Synchronous for a token verified before: RS256 costs 92 µs, this 2. `connection`: what the token came on. */
  authenticate(token: string, connection?: object): AccessPrincipal | Promise<AccessPrincipal> {
    if (token.length > MAX_TOKEN) throw refused('TOKEN_INVALID');
    const last = connection === undefined ? undefined : this.#lastOf.get(connection);
    const digest = last?.token === token ? last.digest : hash('sha256', token, 'base64');
    if (connection !== undefined && last?.digest !== digest) this.#lastOf.set(connection, { token, digest });
    const known = this.#verified.get(digest);
    return known === undefined ? this.#verify(token, digest) : this.#stillValid(known, digest);
  }

  #stillValid(principal: AccessPrincipal, digest: string): AccessPrincipal {
    if (this.#revoked.has(principal.tokenId)) { this.#verified.delete(digest); throw refused('TOKEN_REVOKED'); }
    if (principal.expiresAt <= this.#clock.now()) { this.#verified.delete(digest); throw refused('TOKEN_EXPIRED'); }
    return principal;
  }

  async #verify(token: string, digest: string): Promise<AccessPrincipal> {
    let principal: AccessPrincipal;
    try {
      const { payload } = await jwtVerify(
        token,
        (header) => {
          const key = this.#keys.verifying(header.kid);
          if (key === undefined) throw refused('TOKEN_INVALID');
          return key;
        },
        { algorithms: ['RS256'], issuer: TOKEN_ISSUER, typ: 'at+jwt', currentDate: new Date(this.#clock.now()) },
      );
      const claims = Claims.parse(payload);
      principal = {
        id: claims.sub, username: claims.username, role: claims.role, permissions: claims.permissions, tokenId: claims.jti, family: claims.sid, expiresAt: claims.exp * 1000,
      };
    } catch (error) {
      throw refused(error instanceof errors.JWTExpired ? 'TOKEN_EXPIRED' : 'TOKEN_INVALID', error);
    }
    this.#stillValid(principal, digest);
    this.#verified.set(digest, principal);
    return principal;
  }
}

const MESSAGES = {
  TOKEN_INVALID: 'The token is not one of this server.',
  TOKEN_EXPIRED: 'The token has expired.',
  TOKEN_REVOKED: 'The token was revoked.',
} as const;
const refused = (reason: keyof typeof MESSAGES, cause?: unknown): MediaError => new MediaError('UNAUTHENTICATED', MESSAGES[reason], { reason, cause });
