import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { challenges, digestMatches, NonceIssuer, parseAuthorization } from './auth.ts';

const md5 = (text: string): string => createHash('md5').update(text).digest('hex');
const secret = Buffer.alloc(32, 7);

describe('RTSP credentials', () => {
  test('[ING-6] of Basic are the user and everything behind the first colon', () => {
    expect(parseAuthorization(`basic ${Buffer.from('any:k:ey').toString('base64')}`)).toEqual({ scheme: 'basic', user: 'any', password: 'k:ey' });
    expect(parseAuthorization('Basic bm9jb2xvbg==')).toBeNull();
  });

  test('[ING-6] of Digest prove the key, as in the example of RFC 2617 §3.5', () => {
    const value = 'Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", '
      + 'qop=auth, nc=00000001, cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41"';
    const credentials = parseAuthorization(value);
    if (credentials?.scheme !== 'digest') throw new Error('not parsed');
    const ha1 = md5('Mufasa:testrealm@host.com:Circle Of Life');
    expect(digestMatches(credentials, ha1, 'GET')).toBe(true);
    expect(digestMatches(credentials, ha1, 'PUT')).toBe(false);
    expect(digestMatches(credentials, md5('Mufasa:testrealm@host.com:Circle of life'), 'GET')).toBe(false);
  });

  test('[ING-6] of Digest without qop follow RFC 2069', () => {
    const ha1 = md5('u:r:p');
    const response = md5(`${ha1}:n:${md5('ANNOUNCE:rtsp://h/c')}`);
    const credentials = parseAuthorization(`Digest username="u", realm="r", nonce="n", uri="rtsp://h/c", response="${response}"`);
    expect(credentials?.scheme === 'digest' && digestMatches(credentials, ha1, 'ANNOUNCE')).toBe(true);
  });

  test('of another algorithm are not understood', () => {
    expect(parseAuthorization('Digest username="u", realm="r", nonce="n", uri="x", response="y", algorithm=SHA-256')).toBeNull();
  });

  test('of any text are read or refused, and never crash', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.string().map((text) => `Digest ${text}`), fc.string().map((text) => `Basic ${text}`)), (text) => {
      const credentials = parseAuthorization(text);
      if (credentials?.scheme === 'digest') expect(digestMatches(credentials, md5('a:b:c'), 'OPTIONS')).toBe(false);
    }));
  });
});

describe('a nonce', () => {
  const issuer = new NonceIssuer(secret);

  test('is valid for five minutes and stale afterwards', () => {
    const nonce = issuer.issue(1_000_000);
    expect(issuer.check(nonce, 1_000_000)).toBe('valid');
    expect(issuer.check(nonce, 1_300_000)).toBe('valid');
    expect(issuer.check(nonce, 1_300_001)).toBe('stale');
  });

  test('of another server, or changed, is unknown', () => {
    const nonce = new NonceIssuer(Buffer.alloc(32, 8)).issue(0);
    expect(issuer.check(nonce, 0)).toBe('unknown');
    expect(issuer.check(issuer.issue(5).replace('5.', '6.'), 5)).toBe('unknown');
    fc.assert(fc.property(fc.string(), (text) => { expect(issuer.check(text, 0)).toBe('unknown'); }));
  });
});

test('a challenge offers each scheme in a field of its own, and never SHA-256', () => {
  expect(challenges(['basic', 'digest'], 'n', true)).toEqual([
    ['WWW-Authenticate', 'Basic realm="imageflow"'],
    ['WWW-Authenticate', 'Digest realm="imageflow", nonce="n", algorithm=MD5, stale=true'],
  ]);
});
