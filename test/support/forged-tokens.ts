/** Access tokens that are almost right: each differs from a valid one in what its name says and in nothing else. */
import { createHmac, createPublicKey } from 'node:crypto';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { SignJWT, decodeJwt, decodeProtectedHeader, importJWK } from 'jose';
import type { JWK } from 'jose';

const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** `valid` is signed as the others are and must be let in: what refuses those is what they differ in. */
export const forgedTokens = async (dataDir: string, token: string): Promise<Readonly<Record<'valid' | 'expired' | 'alg none' | 'alg HS256 with the public PEM' | 'alg HS256 with the public JWK' | 'claims changed' | 'another typ' | 'another issuer', string>>> => {
  const header = decodeProtectedHeader(token);
  const claims = decodeJwt(token);
  const { private_jwk: privateJwk, public_jwk: publicJwk } = signingKey(dataDir, header.kid ?? '');
  const key = await importJWK(JSON.parse(privateJwk) as JWK, 'RS256');
  const seconds = Math.floor(Date.now() / 1000);
  const sign = (payload: object, typ = 'at+jwt'): Promise<string> => new SignJWT({ ...claims, ...payload }).setProtectedHeader({ alg: 'RS256', kid: header.kid ?? '', typ }).sign(key);
  const unsigned = (alg: string): string => `${base64url({ ...header, alg })}.${base64url(claims)}`;
  const hmac = (secret: string | Buffer): string => `${unsigned('HS256')}.${createHmac('sha256', secret).update(unsigned('HS256')).digest('base64url')}`;
  const [head = '', , signature = ''] = token.split('.');
  return {
    'valid': await sign({ iat: seconds - 1 }),
    'expired': await sign({ iat: seconds - 7200, exp: seconds - 3600 }),
    'alg none': `${unsigned('none')}.`,
    'alg HS256 with the public PEM': hmac(createPublicKey({ key: JSON.parse(publicJwk) as JWK, format: 'jwk' }).export({ type: 'spki', format: 'pem' })),
    'alg HS256 with the public JWK': hmac(publicJwk),
    'claims changed': `${head}.${base64url({ ...claims, username: 'somebody' })}.${signature}`,
    'another typ': await sign({}, 'JWT'),
    'another issuer': await sign({ iss: 'somebody' }),
  };
};

const signingKey = (dataDir: string, kid: string): { readonly private_jwk: string; readonly public_jwk: string } => {
  const db = new Database(join(dataDir, 'imageflow.db'), { readonly: true });
  try {
    return db.prepare('SELECT private_jwk, public_jwk FROM signing_keys WHERE kid = ?').get(kid) as { private_jwk: string; public_jwk: string };
  } finally {
    db.close();
  }
};
