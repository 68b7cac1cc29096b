import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { SignJWT, generateKeyPair } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TOKEN_ISSUER } from './api-env.ts';
import { fakeReader, startApi } from './testing/harness.ts';
import type { Harness } from './testing/harness.ts';
import { rawExchange } from './testing/raw-http.ts';

interface Operation { security?: unknown[]; requestBody?: unknown; responses: Record<string, unknown> }
type Paths = Record<string, Record<string, Operation>>;
/** Open to everybody, by contract. */
const OPEN = new Set([
  'get /v1/health', 'get /v1/health/ready', 'get /v1/metrics', 'get /health', 'get /health/ready', 'get /metrics', 'post /v1/auth/login', 'post /v1/auth/refresh',
  'get /v1/.well-known/jwks.json', 'get /v1/auth/.well-known/jwks.json', 'get /.well-known/jwks.json', 'get /v1/openapi.json', 'get /v1/docs',
  'get /v1/recordings/signing-key', // whoever got an export checks it by this
]);
const MEDIA = /^\/(?:whip|whep|hls|ws)\/|^\/v1\/cameras\/[^/]+\/(?:detections\/live|mjpeg|snapshot)$|^\/v1\/recordings\/[^/]+\/uploads$/;
/** Pictures and models. */
const OWN_BODY = /^\/v1\/models\//;

describe('every route', () => {
  let h: Harness;
  let token: string;
  let operations: { method: string; path: string; url: string; operation: Operation }[];
  beforeAll(async () => {
    h = await startApi();
    token = (await h.login()).access_token;
    const { body } = await h.call<{ openapi: string; paths: Paths }>('GET', '/v1/openapi.json');
    expect(body.openapi).toBe('3.1.0');
    operations = Object.entries(body.paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, operation]) => ({ method, path, url: path.replaceAll(/\{\w+\}/g, 'x'), operation })));
  });
  afterAll(async () => { await h[Symbol.asyncDispose](); });

  test('the OpenAPI document lists all of them, also the forwarded media URLs', () => {
    const listed = operations.map(({ method, path }) => `${method} ${path}`);
    for (const expected of [
      ...OPEN, 'post /v1/auth/logout', 'get /v1/auth/me', 'get /v1/cameras', 'post /v1/cameras', 'get /v1/cameras/{id}', 'put /v1/cameras/{id}', 'patch /v1/cameras/{id}',
      'delete /v1/cameras/{id}', 'get /v1/cameras/{id}/sessions', 'get /v1/cameras/{id}/stats', 'get /v1/cameras/{id}/keys', 'post /v1/cameras/{id}/keys',
      'delete /v1/cameras/{id}/keys/{key}', 'get /v1/recordings', 'get /v1/recordings/{camera}/segments', 'get /v1/recordings/{camera}/playback',
      'get /v1/recordings/{camera}/gaps', 'get /v1/detections', 'get /v1/users', 'get /v1/audit', 'post /whip/{camera}', 'post /whep/{camera}',
    ]) expect(listed).toContain(expected);
  });

  test('refuses a request with no, a wrong and a foreign token, but for the open ones', async () => {
    const { privateKey } = await generateKeyPair('RS256');
    const foreign = await new SignJWT({ sub: 'x', username: 'x', role: 'admin', permissions: ['*'], jti: 'j', sid: 's' })
      .setProtectedHeader({ alg: 'RS256', kid: 'foreign', typ: 'at+jwt' }).setIssuer(TOKEN_ISSUER).setExpirationTime('9y').sign(privateKey);
    const guarded = operations.filter(({ method, path }) => !OPEN.has(`${method} ${path}`) && !MEDIA.test(path));
    expect(guarded.length).toBeGreaterThan(20);
    for (const { method, path, url, operation } of guarded) {
      expect(operation.security, path).toEqual([{ bearer: [] }]);
      for (const prefix of ['', '/api']) {
        for (const credential of [undefined, 'wrong', foreign]) {
          const answer = await h.call(method.toUpperCase(), `${prefix}${url}`, credential === undefined ? {} : { token: credential });
          expect(answer.status, `${method} ${path} ${String(credential)}`).toBe(401);
          expect(answer.headers.get('www-authenticate'), path).toMatch(/^Bearer /);
          expect(answer.headers.get('content-type')).toBe('application/problem+json');
        }
      }
    }
  });

  test('answers the open ones to everybody', async () => {
    for (const { method, path, url } of operations.filter(({ method, path }) => OPEN.has(`${method} ${path}`) && method === 'get')) {
      expect((await h.call('GET', url)).status, path).toBe(200);
      expect(method).toBe('get');
    }
  });

  test('refuses bodies that are not JSON, of another type, or too large', async () => {
    const withBody = operations.filter(({ operation, path }) => operation.requestBody !== undefined && !MEDIA.test(path) && !OWN_BODY.test(path));
    expect(withBody.length).toBeGreaterThan(10);
    for (const { method, path, url } of withBody) {
      const name = `${method} ${path}`;
      const send = (body: string, type: string) => h.call(method.toUpperCase(), url, { ...(path === '/v1/auth/logout' ? {} : { token }), headers: { 'content-type': type, ...(path === '/v1/auth/logout' ? { authorization: `Bearer ${token}` } : {}) }, body });
      expect(await send('{"a":', 'application/json'), name).toMatchObject({ status: 400, body: { code: 'MALFORMED_JSON' } });
      expect(await send('a=b', 'application/x-www-form-urlencoded'), name).toMatchObject({ status: 415 });
      expect(await send(`"${'x'.repeat(300_000)}"`, 'application/json'), name).toMatchObject({ status: 413 });
      expect(await send('[1]', 'application/json'), name).toMatchObject({ status: 400, body: { code: 'VALIDATION_FAILED' } });
    }
  });

  test('survives any query and any body', { timeout: 60_000 }, async () => {
    const gets = operations.filter(({ method, path }) => method === 'get' && !MEDIA.test(path));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...gets), fc.dictionary(fc.constantFrom('limit', 'cursor', 'from', 'to', 'camera', 'order', 'class', 'min_confidence', 'token', 'result'), fc.string()), async ({ url }, query) => {
        expect((await h.call('GET', `${url}?${new URLSearchParams(query).toString()}`, { token })).status).not.toBe(500);
      }),
      { numRuns: 150 },
    );
    const posts = operations.filter(({ operation, path }) => operation.requestBody !== undefined && !MEDIA.test(path) && !path.includes('/auth/'));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...posts), fc.jsonValue(), async ({ method, url }, json) => {
        expect((await h.call(method.toUpperCase(), url, { token, json })).status).not.toBe(500);
      }),
      { numRuns: 100 },
    );
  });
});

describe('errors and headers', () => {
  let h: Harness;
  let token: string;
  beforeAll(async () => { h = await startApi({ config: { cors: { origins: ['https://app.example'] } } }); token = (await h.login()).access_token; });
  afterAll(async () => { await h[Symbol.asyncDispose](); });

  test('[SD-14] a refused body names each member, why, and what was sent', async () => {
    const { status, body } = await h.call('POST', '/v1/cameras', { token, json: { id: 'UPPER', pipelines: 'detect', nonsense: 1 } });
    expect(status).toBe(400);
    expect(body).toMatchObject({
      type: 'urn:imageflow:problem:validation-failed', title: 'Bad Request', status: 400, instance: '/v1/cameras', code: 'VALIDATION_FAILED', trace_id: expect.any(String) as string,
      error: { code: 'VALIDATION_FAILED', message: expect.any(String) as string, timestamp: expect.stringMatching(/Z$/) as string },
    });
    const fields = body['validation_errors'] as { field: string; value: unknown }[];
    expect(fields.map(({ field, value }) => [field, value]).sort()).toEqual([['id', 'UPPER'], ['nonsense', 1], ['pipelines', 'detect']]);
    expect((body['error'] as { details: unknown }).details).toEqual(fields);
  });

  test('a body nested deeper than a stack is refused like any other', async () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    for (const json of [deep, `{"id":${deep}}`, `{"unknown":${deep}}`]) {
      const { status, body } = await h.call<{ code: string }>('POST', '/v1/cameras', { token, headers: { 'content-type': 'application/json' }, body: json });
      expect([status, body.code]).toEqual([400, 'VALIDATION_FAILED']);
    }
  });

  test('[SD-80] request and correlation ids are accepted, or made, and returned', async () => {
    expect((await h.call('GET', '/v1/health')).headers.get('x-request-id')).toMatch(/^[\da-f-]{36}$/);
    const given = await h.call('GET', '/v1/nothing', { token, headers: { 'x-correlation-id': 'order-4711', 'x-client-id': 'tablet-3' } });
    expect(given.body['trace_id']).toBe('order-4711');
    expect([given.headers.get('x-request-id'), given.headers.get('x-correlation-id'), given.headers.get('x-client-id')]).toEqual(['order-4711', 'order-4711', 'tablet-3']);
    expect((await h.call('GET', '/v1/health', { headers: { 'x-request-id': 'a b"c' } })).headers.get('x-request-id')).not.toContain(' ');
  });

  test('details of our own faults stay in the log', async () => {
    await using broken = await startApi({ segmentReader: fakeReader({ playback: () => Promise.reject(new Error('secret path')) }) });
    const admin = (await broken.login()).access_token;
    await broken.db.insertInto('segments').values({ id: 's', camera_id: 'c', session_id: 's', epoch: 1, start_ms: 1000, end_ms: 2000, bytes: 1, sha256: null, open: 0, tracks: '[]', gap_before: null, expired_at: null }).execute();
    const { status, body } = await broken.call('GET', '/v1/recordings/c/playback?from=1970-01-01T00:00:00Z&to=1970-01-01T00:01:00Z', { token: admin });
    expect([status, body['code']]).toEqual([500, 'INTERNAL']);
    expect(JSON.stringify(body)).not.toContain('secret path');
  });

  test('only listed origins may read answers', async () => {
    const preflight = (origin: string) => h.call('OPTIONS', '/v1/cameras', { headers: { origin, 'access-control-request-method': 'POST' } });
    expect((await preflight('https://app.example')).headers.get('access-control-allow-origin')).toBe('https://app.example');
    const other = await preflight('https://evil.example');
    expect([other.status, other.headers.get('access-control-allow-origin')]).toEqual([204, null]);
    expect((await h.call('GET', '/v1/health', { headers: { origin: 'https://app.example' } })).headers.get('access-control-expose-headers')).toContain('Location');
  });

  test('bytes that are no HTTP, and targets that are no URL, cost only their connection', async () => {
    expect(await rawExchange(h.base, '\x16\x03\x01nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400/);
    expect(await rawExchange(h.base, 'GET / HTTP/1.1\r\nHost: [\r\nConnection: close\r\n\r\n')).toMatch(/^HTTP\/1\.1 4/);
    expect(await rawExchange(h.base, 'GET http://[/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')).toMatch(/^HTTP\/1\.1 4/);
    expect((await h.call('GET', '/v1/health')).status).toBe(200);
  });
});

test('what one of the databases has no place for is taken or refused in words, and never a failure', async () => {
  await using h = await startApi();
  const { access_token: token } = await h.login();
  const cursor = (position: unknown): string => Buffer.from(JSON.stringify(position)).toString('base64url');
  const odd = [0.5, -1e300, 1e300, 2 ** 63].flatMap((n) => [`/v1/alarms?cursor=${cursor([n, 'x'])}`, `/v1/recordings?cursor=${cursor([n, 'line-1'])}`, `/v1/detections?cursor=${cursor([n, n])}`, `/v1/audit?cursor=${cursor([n])}`]);
  odd.push(`/v1/users?cursor=${cursor(['a\0b'])}`, `/v1/alarms?cursor=${cursor([1, 'a\0b'])}`, '/v1/audit?principal=a%00b', '/v1/detections?class=a%00b', '/v1/recordings?from=9999-12-31T23:59:59.999Z');
  for (const path of odd) expect([200, 400], path).toContain((await h.call('GET', path, { token })).status);
  const named = await h.call('POST', '/v1/cameras', { token, json: { id: 'line-1', name: 'a\0b' } });
  expect([201, 400]).toContain(named.status);
  expect((await h.call('POST', '/v1/auth/login', { json: { username: 'a\0b', password: 'a\0b' } })).status).toBeOneOf([400, 401]);
  expect((await h.call('DELETE', '/v1/alarms/a%00b', { token })).status).toBeOneOf([400, 404]);
});

test('pages: hashed assets for ever, other paths of the application its index, and never a file outside', async () => {
  await using h = await startApi();
  const dist = join(h.directory, 'dist');
  mkdirSync(join(dist, 'assets'), { recursive: true });
  writeFileSync(join(dist, 'index.html'), '<html>index</html>');
  writeFileSync(join(dist, 'assets', 'app-DiwrgTda.js'), 'app');
  await using served = await startApi({ pagesDir: dist });
  const html = { accept: 'text/html,*/*' };
  expect(await served.call('GET', '/', { headers: html })).toMatchObject({ status: 200, body: '<html>index</html>' });
  const page = await served.call('GET', '/cameras/line-1', { headers: html });
  expect([page.status, page.headers.get('cache-control'), page.headers.get('content-security-policy')?.includes("default-src 'self'")]).toEqual([200, 'no-cache', true]);
  const asset = await served.call('GET', '/assets/app-DiwrgTda.js');
  expect([asset.headers.get('cache-control'), asset.headers.get('content-type')]).toEqual(['public, max-age=31536000, immutable', 'text/javascript; charset=utf-8']);
  expect((await served.call('GET', '/', { headers: { ...html, 'if-none-match': page.headers.get('etag') ?? '' } })).status).toBe(304);
  for (const path of ['/assets/missing.js', '/v1/none', '/..%2f..%2fcontrol.db', '/%2e%2e/control.db', '/.git', '/%00', '/%']) expect((await served.call('GET', path)).status, path).toBe(404);
});
