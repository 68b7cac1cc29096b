/** Credentials of an RTSP request: Basic (RFC 7617), Digest with MD5 (RFC 2617, RFC 7616) and `?token=` (contract 0.4). */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { RTSP_REALM } from '../../core/rtsp-realm.ts';
import type { Milliseconds } from '../../core/units.ts';

const NONCE_LIFETIME_MS = 300_000;

export interface DigestCredentials {
  readonly username: string;
  readonly realm: string;
  readonly nonce: string;
  readonly uri: string;
  readonly response: string;
  readonly qop: string | null;
  readonly nc: string;
  readonly cnonce: string;
}

export type Authorization =
  | { readonly scheme: 'basic'; readonly user: string; readonly password: string }
  | ({ readonly scheme: 'digest' } & DigestCredentials);

/** Parses an Authorization header; null for anything that is not well-formed Basic or Digest. Never throws. */
export const parseAuthorization = (value: string): Authorization | null => {
  const [, scheme = '', rest = ''] = /^(\S+)\s+(.*)$/.exec(value.slice(0, 4096)) ?? [];
  switch (scheme.toLowerCase()) {
    case 'basic': {
      const text = Buffer.from(rest.trim(), 'base64').toString('utf8');
      const colon = text.indexOf(':');
      return colon < 0 ? null : { scheme: 'basic', user: text.slice(0, colon), password: text.slice(colon + 1) };
    }
    case 'digest':
      return parseDigest(rest);
    default:
      return null;
  }
};

const parseDigest = (text: string): Authorization | null => {
  const fields = new Map<string, string>();
  for (const match of text.matchAll(/([a-z]+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))/gi)) fields.set((match[1] ?? '').toLowerCase(), match[2] ?? match[3] ?? '');
  const field = (name: string): string => fields.get(name) ?? '';
  if ((fields.get('algorithm') ?? 'MD5').toUpperCase() !== 'MD5') return null;
  if (!field('username') || !field('nonce') || !field('uri') || !field('response')) return null;
  return {
    scheme: 'digest',
    username: field('username'),
    realm: field('realm'),
    nonce: field('nonce'),
    uri: field('uri'),
    response: field('response'),
    qop: fields.get('qop') ?? null,
    nc: field('nc'),
    cnonce: field('cnonce'),
  };
};

const md5 = (text: string): string => createHash('md5').update(text).digest('hex');

/** Whether `credentials` prove knowledge of a key with this HA1 for `method` (RFC 2617 §3.2.2.1). */
export const digestMatches = (credentials: DigestCredentials, ha1: string, method: string): boolean => {
  const ha2 = md5(`${method}:${credentials.uri}`);
  const { nonce, nc, cnonce, qop } = credentials;
  const expected = qop === null ? md5(`${ha1}:${nonce}:${ha2}`) : md5(`${ha1}:${nonce}:${nc}:${cnonce}:${qop}:${ha2}`);
  const given = Buffer.from(credentials.response.toLowerCase());
  return given.length === expected.length && timingSafeEqual(given, Buffer.from(expected));
};

/** Issues nonces and recognises its own without keeping any: a time and its keyed hash. */
export class NonceIssuer {
  readonly #secret: Buffer;

  constructor(secret: Buffer) {
    this.#secret = secret;
  }

  issue(now: Milliseconds): string {
    const time = Math.floor(now).toString(16);
    return `${time}.${this.#sign(time)}`;
  }

  /** `stale`: ours, but too old: the client should try again with a new one without asking its user (RFC 2617 §3.2.1). */
  check(nonce: string, now: Milliseconds): 'valid' | 'stale' | 'unknown' {
    const [time = '', signature = ''] = nonce.split('.', 2);
    const expected = this.#sign(time);
    if (signature.length !== expected.length || !timingSafeEqual(Buffer.from(signature, 'latin1'), Buffer.from(expected))) return 'unknown';
    const age = now - Number.parseInt(time, 16);
    return age >= 0 && age <= NONCE_LIFETIME_MS ? 'valid' : 'stale';
  }

  #sign(time: string): string {
    return createHmac('sha256', this.#secret).update(time).digest('hex').slice(0, 32);
  }
}

/** One WWW-Authenticate value per accepted scheme. MD5 alone: ffmpeg sends nothing when SHA-256 is offered beside it. */
export const challenges = (schemes: readonly ('basic' | 'digest')[], nonce: string, stale: boolean): readonly (readonly [string, string])[] =>
  schemes.map((scheme) => [
    'WWW-Authenticate',
    scheme === 'basic' ? `Basic realm="${RTSP_REALM}"` : `Digest realm="${RTSP_REALM}", nonce="${nonce}", algorithm=MD5${stale ? ', stale=true' : ''}`,
  ]);
