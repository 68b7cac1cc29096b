import { hash } from 'node:crypto';
import { errors, importJWK, jwtVerify } from 'jose';
import type { CryptoKey, JWK } from 'jose';
import { LRUCache } from 'lru-cache';
import * as z from 'zod';
import type { Clock } from '../core/clock.ts';
import { MediaError } from '../core/errors.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { CameraKey, DesiredState } from '../proto/gen/imageflow/v1/media_control_pb.ts';
import type { Authorizer, MediaAction, Principal } from './port.ts';

/** Where the authorizer's knowledge comes from: `DesiredStateStore`. */
export interface CredentialState {
  readonly state: DesiredState | undefined;
  onChange(listener: () => void): Disposable;
}

/** As control signs them (`control-api/desired-state/state.ts`). */
const ISSUER = 'imageflow-edge';
const MAX_CREDENTIAL_LENGTH = 4096;
const MAX_CACHED = 10_000;
/** What a token must grant; `*` grants all. */
const PERMISSION: Readonly<Record<MediaAction, string>> = { publish: 'stream:publish', play: 'stream:view' };
const GRANT: Readonly<Record<MediaAction, 'publish' | 'view'>> = { publish: 'publish', play: 'view' };

const Claims = z.looseObject({ sub: z.string(), username: z.string(), permissions: z.array(z.string()), jti: z.string(), exp: z.number() });

const MESSAGES = {
  NO_CREDENTIAL: 'A key or token is needed.',
  TOKEN_INVALID: 'The key or token is not one of this server.',
  TOKEN_EXPIRED: 'The token has expired.',
  TOKEN_REVOKED: 'The token was revoked.',
} as const;
const refused = (reason: keyof typeof MESSAGES, cause?: unknown): MediaError => new MediaError('UNAUTHENTICATED', MESSAGES[reason], { reason, cause });

interface VerifiedToken {
  readonly principal: Principal & { readonly kind: 'user' };
  readonly jti: string;
}

/**
 * Checks camera keys and access tokens without asking control (D-13): keys by SHA-256, tokens by the public keys of the desired state.
 * A token once verified is known by its hash until it expires or is revoked: RS256 costs 92 µs, a hash 2.
 */
export class DesiredStateAuthorizer implements Authorizer, Disposable {
  readonly #source: CredentialState;
  readonly #clock: Clock;
  readonly #subscription: Disposable;
  readonly #listeners = new Set<(principalId: string) => void>();
  readonly #verified = new LRUCache<string, VerifiedToken>({ max: MAX_CACHED });
  #imported = new Map<string, { readonly jwk: string; readonly key: Promise<CryptoKey | Uint8Array> }>();
  #keysByHash: ReadonlyMap<string, CameraKey> = new Map();
  #keysById: ReadonlyMap<string, CameraKey> = new Map();
  #tokenKeys: ReadonlyMap<string, string> = new Map();
  #revoked: ReadonlySet<string> = new Set();

  constructor(options: { readonly source: CredentialState; readonly clock: Clock }) {
    this.#source = options.source;
    this.#clock = options.clock;
    this.#load();
    this.#subscription = this.#source.onChange(() => { this.#load(); });
  }

  async authorize(credential: string | null, action: MediaAction, camera: CameraId): Promise<Principal> {
    if (credential === null || credential === '') throw refused('NO_CREDENTIAL');
    if (credential.length > MAX_CREDENTIAL_LENGTH) throw refused('TOKEN_INVALID');
    const digest = hash('sha256', credential, 'hex');
    const key = this.#keysByHash.get(digest);
    if (key) return authorizeKey(key, action, camera);
    const { principal } = this.#cached(digest) ?? (await this.#verify(credential, digest));
    if (!principal.permissions.includes('*') && !principal.permissions.includes(PERMISSION[action])) {
      throw new MediaError('PERMISSION_DENIED', `The permission ${PERMISSION[action]} is missing.`, { reason: 'PERMISSION_MISSING', context: { permission: PERMISSION[action] } });
    }
    return principal;
  }

  digestHa1s(camera: CameraId, action: MediaAction): readonly { readonly keyId: string; readonly ha1: string }[] {
    return [...this.#keysById.values()].filter((key) => key.camera === camera && key.grants === GRANT[action] && key.ha1 !== '').map((key) => ({ keyId: key.id, ha1: key.ha1 }));
  }

  onRevoked(listener: (principalId: string) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    this.#listeners.clear();
    this.#verified.clear();
  }

  #cached(digest: string): VerifiedToken | undefined {
    const known = this.#verified.get(digest);
    if (!known) return undefined;
    return this.#stillValid(known, digest);
  }

  #stillValid(token: VerifiedToken, digest: string): VerifiedToken {
    if (this.#revoked.has(token.jti)) { this.#verified.delete(digest); throw refused('TOKEN_REVOKED'); }
    if (token.principal.expiresAt <= this.#clock.now()) { this.#verified.delete(digest); throw refused('TOKEN_EXPIRED'); }
    return token;
  }

  async #verify(credential: string, digest: string): Promise<VerifiedToken> {
    let token: VerifiedToken;
    try {
      const { payload } = await jwtVerify(credential, ({ kid }) => this.#tokenKey(kid), { algorithms: ['RS256'], issuer: ISSUER, typ: 'at+jwt', currentDate: new Date(this.#clock.now()) });
      const claims = Claims.parse(payload);
      token = {
        jti: claims.jti,
        principal: { kind: 'user', id: claims.jti, username: claims.username, permissions: claims.permissions, expiresAt: claims.exp * 1000 },
      };
    } catch (error) {
      throw refused(error instanceof errors.JWTExpired ? 'TOKEN_EXPIRED' : 'TOKEN_INVALID', error);
    }
    // The state may have changed meanwhile: looked at again, in the same step as it is remembered.
    this.#stillValid(token, digest);
    this.#verified.set(digest, token);
    return token;
  }

  #tokenKey(kid: string | undefined): Promise<CryptoKey | Uint8Array> {
    const jwk = kid === undefined ? undefined : this.#tokenKeys.get(kid);
    if (kid === undefined || jwk === undefined) return Promise.reject(refused('TOKEN_INVALID'));
    const known = this.#imported.get(kid);
    if (known?.jwk === jwk) return known.key;
    const key = importJWK(JSON.parse(jwk) as JWK, 'RS256');
    this.#imported.set(kid, { jwk, key });
    return key;
  }

  /** Takes a new state, and tells whose key or token has gone. */
  #load(): void {
    const { keys = [], tokenKeys = [], revokedTokens = [] } = this.#source.state ?? {};
    const [oldKeys, oldRevoked, oldTokenKeys] = [this.#keysById, this.#revoked, this.#tokenKeys];
    this.#keysById = new Map(keys.map((key) => [key.id, key]));
    this.#keysByHash = new Map(keys.map((key) => [key.sha256, key]));
    this.#revoked = new Set(revokedTokens);
    this.#tokenKeys = new Map(tokenKeys.map(({ kid, jwk }) => [kid, jwk]));
    // A signing key that is gone takes its tokens along.
    if ([...oldTokenKeys].some(([kid, jwk]) => this.#tokenKeys.get(kid) !== jwk)) {
      this.#verified.clear();
      this.#imported = new Map([...this.#imported].filter(([kid, { jwk }]) => this.#tokenKeys.get(kid) === jwk));
    }
    const gone = [...oldKeys.keys()].filter((id) => !this.#keysById.has(id));
    const revoked = revokedTokens.filter((jti) => !oldRevoked.has(jti));
    for (const id of [...gone, ...revoked]) for (const listener of this.#listeners) listener(id);
  }
}

const authorizeKey = (key: CameraKey, action: MediaAction, camera: CameraId): Principal => {
  if (key.camera !== camera) throw new MediaError('PERMISSION_DENIED', 'The key is of another camera.', { reason: 'KEY_OF_ANOTHER_CAMERA' });
  if (key.grants !== GRANT[action]) throw new MediaError('PERMISSION_DENIED', `The key does not allow to ${action}.`, { reason: 'KEY_OF_ANOTHER_KIND' });
  return { kind: 'key', id: key.id, camera: key.camera, grants: GRANT[action] };
};
