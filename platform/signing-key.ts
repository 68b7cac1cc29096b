/**
 * The installation's Ed25519 key (RFC 8032): what this server recorded and exported is signed with it. One PEM file that its owner alone may read,
 * made at the first start by whichever process needs it first. Statements travel as JWS (RFC 7515, EdDSA by RFC 8037).
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID, sign, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { chmod, link, mkdir, open, readFile, rename, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CompactSign, compactVerify } from 'jose';
import { MediaError, messageOf } from '../core/errors.ts';

const OWNER_ONLY = 0o600;
const ALGORITHMS = ['EdDSA', 'Ed25519'];
/** A longer statement is none of ours. */
const MAX_JWS = 64 << 20;

export interface Ed25519Jwk {
  readonly kty: 'OKP';
  readonly crv: 'Ed25519';
  /** base64url */
  readonly x: string;
}

/** Checks what the owner of the private key signed. */
export class PublicSigningKey {
  readonly #key: KeyObject;
  readonly jwk: Ed25519Jwk;
  /** RFC 7638 thumbprint, base64url: names the key. */
  readonly kid: string;

  /** Throws INVALID_ARGUMENT for anything but an Ed25519 key. */
  constructor(key: KeyObject) {
    const { crv, x } = key.export({ format: 'jwk' });
    if (key.asymmetricKeyType !== 'ed25519' || crv !== 'Ed25519' || x === undefined) throw new MediaError('INVALID_ARGUMENT', 'not an Ed25519 key');
    this.#key = key;
    this.jwk = { kty: 'OKP', crv, x };
    this.kid = createHash('sha256').update(`{"crv":"${crv}","kty":"OKP","x":"${x}"}`).digest('base64url');
  }

  /** Throws INVALID_ARGUMENT for anything but an Ed25519 key in PEM. */
  static fromPem(pem: string): PublicSigningKey {
    try {
      return new PublicSigningKey(createPublicKey(pem));
    } catch (cause) {
      throw new MediaError('INVALID_ARGUMENT', 'not an Ed25519 public key in PEM', { cause });
    }
  }

  get pem(): string { return this.#key.export({ format: 'pem', type: 'spki' }).toString(); }

  verify(statement: Buffer, signature: Buffer): boolean {
    return verify(null, statement, this.#key, signature);
  }

  /** The signed JSON of a compact JWS. Throws INVALID_ARGUMENT when it is not one or not signed with this key. */
  async verifyJws(jws: string): Promise<unknown> {
    if (jws.length > MAX_JWS) throw new MediaError('INVALID_ARGUMENT', 'a signed statement that long is none of ours');
    try {
      const { payload } = await compactVerify(jws.trim(), this.#key, { algorithms: ALGORITHMS });
      return JSON.parse(Buffer.from(payload).toString('utf8')) as unknown;
    } catch (cause) {
      throw new MediaError('INVALID_ARGUMENT', `not signed with the key ${this.kid}: ${messageOf(cause)}`, { cause });
    }
  }
}

export class SigningKey {
  readonly #private: KeyObject;
  readonly public: PublicSigningKey;

  private constructor(key: KeyObject) {
    this.#private = key;
    this.public = new PublicSigningKey(createPublicKey(key));
  }

  /** Reads the key at `path`, or makes it. Throws INVALID_ARGUMENT when there is something else, and what the file system throws. */
  static async open(path: string): Promise<SigningKey> {
    const known = await SigningKey.read(path);
    if (known) return known;
    await mkdir(dirname(path), { recursive: true });
    const fresh = `${path}.${randomUUID()}.new`;
    const pem = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' });
    {
      await using file = await open(fresh, 'wx', OWNER_ONLY);
      await file.writeFile(pem);
      await file.sync();
    }
    try {
      await link(fresh, path); // unlike rename it never replaces what another process has made meanwhile
      await unlink(fresh);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') await unlink(fresh);
      else await rename(fresh, path); // a file system without hard links
    }
    const made = await SigningKey.read(path);
    if (!made) throw new MediaError('UNAVAILABLE', `the signing key ${path} is gone as soon as it is made`);
    return made;
  }

  /** The key at `path`; undefined when there is none. Throws as `open`. */
  static async read(path: string): Promise<SigningKey | undefined> {
    let pem: string;
    try {
      pem = await readFile(path, 'utf8');
      if (((await stat(path)).mode & 0o077) !== 0) await chmod(path, OWNER_ONLY);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    try {
      return new SigningKey(createPrivateKey(pem));
    } catch (cause) {
      throw new MediaError('INVALID_ARGUMENT', `${path} is not an Ed25519 private key in PEM; put back the one that was there, or move it away for a new one`, { cause });
    }
  }

  /** 64 bytes. */
  sign(statement: Buffer): Buffer {
    return sign(null, statement, this.#private);
  }

  /** `payload` as compact JWS. `type`: its `typ`. */
  signJws(payload: unknown, type: string): Promise<string> {
    return new CompactSign(Buffer.from(JSON.stringify(payload))).setProtectedHeader({ alg: 'EdDSA', kid: this.public.kid, typ: type }).sign(this.#private);
  }
}
