/** The RS256 keys access tokens are signed with: kept in the database, rotated by `kid` (RFC 7517). */
import { randomBytes } from 'node:crypto';
import { exportJWK, generateKeyPair, importJWK } from 'jose';
import type { CryptoKey, JWK } from 'jose';
import type { Kysely } from 'kysely';
import type { Clock } from '../../core/clock.ts';
import { invariant } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import { dialectOf, holdAlone } from '../../platform/database/dialect.ts';
import type { Database } from '../../platform/database/schema.ts';

/**
 * Where several control processes share the database, a new key is in it so long before it signs: each of them, and the edges, have read it
 * by then (`desired-state/service.ts`), and no token comes before its key.
 */
const LEAD_MS: Milliseconds = 2000;

interface VerifyingKey {
  readonly kid: string;
  readonly jwk: JWK;
  readonly key: CryptoKey;
  readonly retiredAt: Milliseconds | null;
}

export class SigningKeys {
  readonly #db: Kysely<Database>;
  readonly #clock: Clock;
  /** A retired key verifies for so long: the longest life of a token it signed. */
  readonly #keepMs: Milliseconds;
  readonly #leadMs: Milliseconds;
  #keys: readonly VerifyingKey[] = [];
  #signing: { readonly kid: string; readonly key: CryptoKey } | undefined;

  constructor(db: Kysely<Database>, clock: Clock, keepMs: Milliseconds) {
    this.#db = db;
    this.#clock = clock;
    this.#leadMs = dialectOf(db).shared ? LEAD_MS : 0;
    this.#keepMs = keepMs + this.#leadMs;
  }

  /** Reads the keys; makes the first one. */
  async load(): Promise<void> {
    const rows = await this.#db.selectFrom('signing_keys').selectAll().orderBy('created_at', 'desc').orderBy('kid').execute();
    const active = rows.find((row) => row.retired_at === null);
    if (active === undefined) { await this.#make({ onlyFirst: true }); await this.load(); return; }
    const predecessor = rows.find((row) => row.retired_at !== null && row.retired_at >= active.created_at);
    const signing = active.created_at + this.#leadMs <= this.#clock.now() ? active : (predecessor ?? active);
    const keys: VerifyingKey[] = [];
    for (const row of rows) {
      if (row.retired_at !== null && row.retired_at + this.#keepMs < this.#clock.now()) continue;
      const jwk = JSON.parse(row.public_jwk) as JWK;
      const known = this.#keys.find((key) => key.kid === row.kid);
      keys.push({ kid: row.kid, jwk, key: known?.key ?? ((await importJWK(jwk, 'RS256')) as CryptoKey), retiredAt: row.retired_at });
    }
    this.#keys = keys;
    if (this.#signing?.kid !== signing.kid) this.#signing = { kid: signing.kid, key: (await importJWK(JSON.parse(signing.private_jwk) as JWK, 'RS256')) as CryptoKey };
  }

  /** Signs with a new key from now on (2 s later where others share the database); tokens of the old ones stay valid until they expire. */
  async rotate(): Promise<string> {
    const kid = await this.#make({ onlyFirst: false });
    await this.load();
    return kid;
  }

  /** `onlyFirst`: not when there is a key in use by the time it is to be written; another process was faster. */
  async #make({ onlyFirst }: { readonly onlyFirst: boolean }): Promise<string> {
    const pair = await generateKeyPair('RS256', { modulusLength: 2048, extractable: true });
    const kid = randomBytes(9).toString('base64url');
    const common = { kid, alg: 'RS256', use: 'sig' };
    const publicJwk = { ...(await exportJWK(pair.publicKey)), ...common };
    const privateJwk = { ...(await exportJWK(pair.privateKey)), ...common };
    const now = this.#clock.now();
    await this.#db.transaction().execute(async (tx) => {
      await holdAlone(tx, 'signing keys');
      if (onlyFirst && (await tx.selectFrom('signing_keys').select('kid').where('retired_at', 'is', null).executeTakeFirst()) !== undefined) return;
      await tx.updateTable('signing_keys').set({ retired_at: now }).where('retired_at', 'is', null).execute();
      await tx.deleteFrom('signing_keys').where('retired_at', '<', now - this.#keepMs).execute();
      await tx.insertInto('signing_keys').values({ kid, private_jwk: JSON.stringify(privateJwk), public_jwk: JSON.stringify(publicJwk), created_at: now, retired_at: null }).execute();
    });
    return kid;
  }

  signing(): { readonly kid: string; readonly key: CryptoKey } {
    invariant(this.#signing, 'signing keys are loaded before the first token');
    return this.#signing;
  }

  verifying(kid: string | undefined): CryptoKey | undefined {
    return this.public().find((key) => key.kid === kid)?.key;
  }

  /** The public keys that verify now, newest first. */
  public(): readonly VerifyingKey[] {
    const now = this.#clock.now();
    return this.#keys.filter((key) => key.retiredAt === null || key.retiredAt + this.#keepMs >= now);
  }
}
