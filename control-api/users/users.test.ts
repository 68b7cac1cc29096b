import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi } from '../testing/harness.ts';
import type { Harness } from '../testing/harness.ts';

describe('users', () => {
  let h: Harness;
  let token: string;
  beforeAll(async () => { h = await startApi(); token = (await h.login()).access_token; });
  afterAll(async () => { await h[Symbol.asyncDispose](); });

  const add = async (username: string, role: string) => {
    const { body, status } = await h.call<{ id: string }>('POST', '/v1/users', { token, json: { username, password: 'long enough', role } });
    expect(status).toBe(201);
    return body.id;
  };

  test('a viewer sees cameras and recordings, and may change nothing', async () => {
    await add('vera', 'viewer');
    const vera = (await h.login('vera', 'long enough')).access_token;
    for (const path of ['/v1/cameras', '/v1/recordings', '/v1/detections']) expect((await h.call('GET', path, { token: vera })).status, path).toBe(200);
    for (const [method, path] of [['POST', '/v1/cameras'], ['GET', '/v1/users'], ['GET', '/v1/audit'], ['DELETE', '/v1/cameras/x'], ['POST', '/v1/cameras/x/keys']] as const) {
      expect(await h.call(method, path, { token: vera, ...(method === 'POST' ? { json: {} } : {}) }), `${method} ${path}`).toMatchObject({ status: 403, body: { code: 'PERMISSION_DENIED' } });
    }
  });

  test('disabling, a new role and a new password end the log-ins of a user at once', async () => {
    const id = await add('otto', 'operator');
    for (const change of [{ role: 'viewer' }, { password: 'another one' }, { disabled: true }]) {
      await h.call('PATCH', `/v1/users/${id}`, { token, json: { disabled: false, password: 'long enough' } });
      const tokens = await h.login('otto', 'long enough');
      expect((await h.call('PATCH', `/v1/users/${id}`, { token, json: change })).status).toBe(200);
      expect((await h.call('GET', '/v1/auth/me', { token: tokens.access_token })).body['code']).toBe('TOKEN_REVOKED');
      expect((await h.call('POST', '/v1/auth/refresh', { json: { refresh_token: tokens.refresh_token } })).status).toBe(401);
    }
    expect((await h.call('POST', '/v1/auth/login', { json: { username: 'otto', password: 'long enough' } })).status).toBe(401);
  });

  test('the last administrator can be neither removed, disabled nor demoted', async () => {
    const { body } = await h.call<{ id: string }>('GET', '/v1/auth/me', { token });
    for (const [method, json] of [['DELETE', undefined], ['PATCH', { disabled: true }], ['PATCH', { role: 'viewer' }]] as const) {
      expect(await h.call(method, `/v1/users/${body.id}`, { token, ...(json === undefined ? {} : { json }) })).toMatchObject({ status: 409, body: { code: 'LAST_ADMIN' } });
    }
  });

  test('names are unique, passwords have a least length, and a refused password is not shown again', async () => {
    await add('nina', 'viewer');
    expect((await h.call('POST', '/v1/users', { token, json: { username: 'nina', password: 'long enough', role: 'viewer' } })).status).toBe(409);
    const short = await h.call('POST', '/v1/users', { token, json: { username: 'x', password: 'short', role: 'viewer' } });
    expect(short.body['validation_errors']).toMatchObject([{ field: 'password', value: null }]);
  });

  test('lists are paged by cursor, each user once', async () => {
    for (const name of ['p1', 'p2', 'p3']) await add(name, 'viewer');
    const names: string[] = [];
    let cursor: string | null = null;
    do {
      const { body }: { body: { items: { username: string }[]; next_cursor: string | null } } = await h.call('GET', `/v1/users?limit=2${cursor === null ? '' : `&cursor=${cursor}`}`, { token });
      names.push(...body.items.map((item) => item.username));
      cursor = body.next_cursor;
    } while (cursor !== null);
    expect(names).toEqual([...new Set(names)].sort());
    expect(names).toEqual(expect.arrayContaining(['admin', 'p1', 'p2', 'p3']));
  });

  test('changes are in the audit log without the password', async () => {
    await add('audrey', 'viewer');
    const { body } = await h.call('GET', '/v1/audit?action=user:create', { token });
    expect(JSON.stringify(body)).toContain('audrey');
    expect(JSON.stringify(body)).not.toContain('long enough');
  });
});

test('the first start makes an administrator with a random password, told once', async () => {
  await using h = await startApi({ config: { admin: {} } });
  expect(h.admin).toMatchObject({ created: true, password: expect.stringMatching(/^[\w-]{16}$/) as string });
  expect((await h.login('admin', h.admin.password)).user.role).toBe('admin');
  expect(await h.api.ensureAdmin()).toEqual({ created: false });
  const [row] = await h.db.selectFrom('users').selectAll().execute();
  expect(row?.password_hash).toMatch(/^scrypt\$N=1024,r=8,p=1\$/);
});
