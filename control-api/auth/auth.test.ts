import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TOKEN_ISSUER } from '../api-env.ts';
import { ADMIN_PASSWORD, startApi } from '../testing/harness.ts';
import type { Harness } from '../testing/harness.ts';

describe('log-in and tokens', () => {
  let h: Harness;
  beforeAll(async () => { h = await startApi(); });
  afterAll(async () => { await h[Symbol.asyncDispose](); });

  test('a log-in answers tokens and the user as the contract says', async () => {
    const tokens = await h.login();
    expect(tokens).toMatchObject({ token_type: 'Bearer', expires_in: 28_800, user: { username: 'admin', role: 'admin', permissions: ['*'] } });
    const me = await h.call('GET', '/v1/auth/me', { token: tokens.access_token });
    expect(me.body).toEqual(tokens.user);
  });

  test('a wrong password and an unknown user get the same 401', async () => {
    const wrong = await h.call('POST', '/v1/auth/login', { json: { username: 'admin', password: 'wrong' } });
    const unknown = await h.call('POST', '/v1/auth/login', { json: { username: 'nobody', password: 'wrong' } });
    expect([wrong.status, unknown.status]).toEqual([401, 401]);
    expect(wrong.body['detail']).toBe(unknown.body['detail']);
    expect(wrong.headers.get('www-authenticate')).toContain('Bearer');
  });

  test('a refresh token works once and gives a new pair', async () => {
    const first = await h.login();
    const second = await h.call<{ access_token: string; refresh_token: string }>('POST', '/v1/auth/refresh', { json: { refresh_token: first.refresh_token } });
    expect(second.status).toBe(200);
    expect(second.body.refresh_token).not.toBe(first.refresh_token);
    expect((await h.call('GET', '/v1/auth/me', { token: second.body.access_token })).status).toBe(200);
  });

  test('a refresh token used twice ends the whole log-in, its newest tokens too', async () => {
    const first = await h.login();
    const other = await h.login();
    const second = await h.call<{ access_token: string; refresh_token: string }>('POST', '/v1/auth/refresh', { json: { refresh_token: first.refresh_token } });
    const reuse = await h.call('POST', '/v1/auth/refresh', { json: { refresh_token: first.refresh_token } });
    expect(reuse).toMatchObject({ status: 401, body: { code: 'REFRESH_REUSED' } });
    expect((await h.call('GET', '/v1/auth/me', { token: first.access_token })).body['code']).toBe('TOKEN_REVOKED');
    expect((await h.call('GET', '/v1/auth/me', { token: second.body.access_token })).body['code']).toBe('TOKEN_REVOKED');
    expect((await h.call('POST', '/v1/auth/refresh', { json: { refresh_token: second.body.refresh_token } })).status).toBe(401);
    expect((await h.call('GET', '/v1/auth/me', { token: other.access_token })).status).toBe(200);
    const jtis = (await h.db.selectFrom('revoked_tokens').select('jti').execute()).map((row) => row.jti);
    expect([...h.api.desiredState.current().revokedTokens].sort()).toEqual(jtis.sort());
  });

  test('of many refreshes with one token at a time, one at most succeeds', async () => {
    const { refresh_token } = await h.login();
    const answers = await Promise.all(Array.from({ length: 8 }, () => h.call('POST', '/v1/auth/refresh', { json: { refresh_token } })));
    expect(answers.filter((answer) => answer.status === 200).length).toBeLessThanOrEqual(1);
    expect(answers.filter((answer) => answer.status === 401).length).toBeGreaterThanOrEqual(7);
  });

  test('logging out ends the log-in of the refresh token shown, too, if it is of the same user', async () => {
    const { access_token: admin } = await h.login();
    await h.call('POST', '/v1/users', { token: admin, json: { username: 'other', password: 'other-password', role: 'viewer' } });
    const [first, second, other] = [await h.login(), await h.login(), await h.login('other', 'other-password')];
    expect((await h.call('POST', '/v1/auth/logout', { token: first.access_token, json: { refresh_token: second.refresh_token } })).status).toBe(204);
    for (const { access_token, refresh_token } of [first, second]) {
      expect((await h.call('GET', '/v1/auth/me', { token: access_token })).status).toBe(401);
      expect((await h.call('POST', '/v1/auth/refresh', { json: { refresh_token } })).status).toBe(401);
    }
    const third = await h.login();
    expect((await h.call('POST', '/v1/auth/logout', { token: third.access_token, json: { refresh_token: other.refresh_token } })).status).toBe(204);
    expect((await h.call('GET', '/v1/auth/me', { token: other.access_token })).status).toBe(200);
    const fourth = await h.login();
    expect((await h.call('POST', '/v1/auth/logout', { token: fourth.access_token, json: { refresh_token: 'unknown' } })).status).toBe(204);
    expect((await h.call('GET', '/v1/auth/me', { token: fourth.access_token })).status).toBe(401);
    const fifth = await h.login();
    expect((await h.call('POST', '/v1/auth/logout', { token: fifth.access_token })).status).toBe(204);
  });

  test('logging out revokes access and refresh token', async () => {
    const tokens = await h.login();
    expect((await h.call('POST', '/v1/auth/logout', { token: tokens.access_token, json: { refresh_token: tokens.refresh_token } })).status).toBe(204);
    expect((await h.call('GET', '/v1/auth/me', { token: tokens.access_token })).status).toBe(401);
    expect((await h.call('POST', '/v1/auth/refresh', { json: { refresh_token: tokens.refresh_token } })).status).toBe(401);
  });

  test('an access token is refused once it has expired, a refresh token after seven days', async () => {
    const tokens = await h.login();
    expect((await h.call('GET', '/v1/auth/me', { token: tokens.access_token })).status).toBe(200);
    h.clock.advance(8 * 3600 * 1000 + 1000);
    expect((await h.call('GET', '/v1/auth/me', { token: tokens.access_token })).body['code']).toBe('TOKEN_EXPIRED');
    h.clock.advance(7 * 24 * 3600 * 1000);
    expect((await h.call('POST', '/v1/auth/refresh', { json: { refresh_token: tokens.refresh_token } })).status).toBe(401);
  });

  test('tokens that are foreign, unsigned, altered or of another algorithm are refused', async () => {
    const { access_token } = await h.login();
    const foreign = await generateKeyPair('RS256');
    const [header = '', payload = ''] = access_token.split('.');
    const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString()) as { kid: string };
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
    const signed = await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid, typ: 'at+jwt' }).setIssuer(TOKEN_ISSUER).sign(foreign.privateKey);
    const keys = (await h.call<{ keys: Record<string, string>[] }>('GET', '/.well-known/jwks.json')).body.keys;
    const hmac = await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid, typ: 'at+jwt' }).sign(new TextEncoder().encode(JSON.stringify(keys[0])));
    const none = `${Buffer.from(JSON.stringify({ alg: 'none', kid })).toString('base64url')}.${payload}.`;
    const altered = `${header}.${Buffer.from(JSON.stringify({ ...claims, role: 'x' })).toString('base64url')}.${access_token.split('.')[2] ?? ''}`;
    for (const token of [signed, hmac, none, altered, 'x', 'a.b.c', 'x'.repeat(5000), (await exportJWK(foreign.publicKey)).n ?? '']) {
      expect(await h.call('GET', '/v1/auth/me', { token }), token.slice(0, 30)).toMatchObject({ status: 401, body: { code: 'TOKEN_INVALID' } });
    }
    expect((await h.call('GET', '/v1/auth/me', { headers: { authorization: 'Basic YTpi' } })).status).toBe(401);
  });

  test('the key set is public, at every path where one looks for it, and holds no private part', async () => {
    for (const path of ['/.well-known/jwks.json', '/v1/.well-known/jwks.json', '/v1/auth/.well-known/jwks.json']) {
      const { body } = await h.call<{ keys: Record<string, string>[] }>('GET', path);
      expect(Object.keys(body.keys[0] ?? {}).sort()).toEqual(['alg', 'e', 'kid', 'kty', 'n', 'use']);
    }
  });

  test('tokens go on after a restart with the same database', async () => {
    const tokens = await h.login();
    await using again = await startApi({ db: h.db, clock: h.clock });
    expect((await again.call('GET', '/v1/auth/me', { token: tokens.access_token })).status).toBe(200);
    expect(again.api.desiredState.current().version).toBe(h.api.desiredState.current().version);
    // The harness of the second owns nothing of the first but the database, which the first closes.
    again.db.destroy = () => Promise.resolve();
  });
});

test('guessing is slowed: 429 with Retry-After per user and address, and the right password works again afterwards', async () => {
  await using h = await startApi({ loginAttempts: { perUser: 3, perAddress: 100, windowMs: 60_000 } });
  const attempt = (password: string, username = 'admin') => h.call('POST', '/v1/auth/login', { json: { username, password } });
  for (let i = 0; i < 3; i++) expect((await attempt('wrong')).status).toBe(401);
  const refused = await attempt(ADMIN_PASSWORD);
  expect(refused).toMatchObject({ status: 429, body: { code: 'TOO_MANY_LOGINS', retry_after: 60 } });
  expect(refused.headers.get('retry-after')).toBe('60');
  expect((await attempt('wrong', 'other')).status).toBe(401);
  h.clock.advance(60_000);
  expect((await attempt(ADMIN_PASSWORD)).status).toBe(200);
});

test('denials are in the audit log, equal ones counted in one row', async () => {
  await using h = await startApi();
  for (let i = 0; i < 5; i++) await h.call('GET', '/v1/cameras');
  const { access_token: token } = await h.login();
  const { body } = await h.call<{ items: { action: string; result: string; target: string; detail: { count?: number; reason: string } }[] }>('GET', '/v1/audit?result=denied', { token });
  expect(body.items.filter((item) => item.target === '/v1/cameras')).toMatchObject([{ action: 'stream:view', detail: { reason: 'NO_CREDENTIAL', count: 5 } }]);
});
