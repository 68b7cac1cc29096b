/** Two control processes on one PostgreSQL: what one of them decides, the other one knows, and neither decides twice. */
import { once } from 'node:events';
import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, beforeEach, afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { AlarmStore } from '../../control-api/alarms/store.ts';
import { AnalysisStore } from '../../control-api/analyses/store.ts';
import { AuditStore } from '../../control-api/audit/store.ts';
import { DetectionStore } from '../../control-api/detections/store.ts';
import { EventStore } from '../../control-api/edges/event-store.ts';
import { EventService } from '../../control-api/events/service.ts';
import { startApi } from '../../control-api/testing/harness.ts';
import type { Harness } from '../../control-api/testing/harness.ts';
import { systemClock } from '../../core/clock.ts';
import { openDatabase } from '../../platform/database/open.ts';
import { silentLogger } from '../../platform/logging.ts';
import { PostgresCluster } from '../../platform/testing/postgres-cluster.ts';
import { EventBatchSchema, EventSchema } from '../../proto/gen/imageflow/v1/media_control_pb.ts';

let cluster: PostgresCluster;
beforeAll(async () => { cluster = await PostgresCluster.start(); });
afterAll(async () => { await cluster[Symbol.asyncDispose](); });

let a: Harness;
let b: Harness;
beforeEach(async () => {
  const url = await cluster.createDatabase();
  const start = async (): Promise<Harness> => startApi({ db: await openDatabase(url), clock: systemClock });
  // At once, on a database that is empty.
  [a, b] = await Promise.all([start(), start()]);
});
afterEach(async () => {
  await a[Symbol.asyncDispose]();
  await b[Symbol.asyncDispose]();
});

const SOON = { timeout: 20_000 };
const kidOf = (token: string): string => (JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as { kid: string }).kid;
const meAt = async (h: Harness, token: string): Promise<number> => (await h.call('GET', '/v1/auth/me', { token })).status;

test('a first start of both makes one administrator and one key, and what one signs the other takes', async () => {
  expect([a.admin.created, b.admin.created].sort()).toEqual([false, true]);
  expect(await a.db.selectFrom('users').select('username').execute()).toEqual([{ username: 'admin' }]);
  expect(await a.db.selectFrom('signing_keys').select('kid').execute()).toHaveLength(1);
  const [atA, atB] = [(await a.login()).access_token, (await b.login()).access_token];
  expect(await Promise.all([meAt(a, atB), meAt(b, atA)])).toEqual([200, 200]);
});

test('a new key signs when both know it: no token is refused by the other while keys are rotated', async () => {
  const { AuthService } = await import('../../control-api/auth/service.ts');
  const before = kidOf((await a.login()).access_token);
  await new AuthService({ db: a.db, clock: systemClock, audit: { denied: () => undefined, record: () => undefined } }).rotateKeys();
  const seen = new Set<string>();
  await expect.poll(async () => {
    const { access_token: token } = await a.login();
    seen.add(kidOf(token));
    expect(await meAt(b, token)).toBe(200);
    return seen.size;
  }, { timeout: 20_000, interval: 50 }).toBe(2);
  expect(seen.has(before)).toBe(true);
  expect(b.api.desiredState.current().tokenKeys).toHaveLength(2);
});

test('what one takes away the edges of the other one are told; what it adds is in both lists', async () => {
  const { access_token: token } = await a.login();
  const { body } = await a.call<{ id: string }>('POST', '/v1/cameras', { token, json: { id: 'line-1' } });
  expect((await b.call<{ items: { id: string }[] }>('GET', '/v1/cameras', { token })).body.items.map(({ id }) => id)).toEqual([body.id]);
  await expect.poll(() => b.api.desiredState.current().keys, SOON).toHaveLength(1);
  const [key] = b.api.desiredState.current().keys;
  await a.call('DELETE', `/v1/cameras/line-1/keys/${key?.id ?? ''}`, { token });
  await expect.poll(() => b.api.desiredState.current().keys, SOON).toEqual([]);
  expect((await a.call('POST', '/v1/auth/logout', { token, json: {} })).status).toBe(204);
  await expect.poll(() => meAt(b, token), SOON).toBe(401);
  await expect.poll(() => b.api.desiredState.current().revokedTokens, SOON).toHaveLength(1);
});

test('[REC-9] what one is told to call an event becomes a clip where the edge is attached to the other', async () => {
  const { access_token: token } = await b.login();
  await b.call('POST', '/v1/cameras', { token, json: { id: 'line-1', recording: { policy: 'on-event', on_event: { pre_seconds: 4, post_seconds: 6, detected: [{ class_name: 'scratch' }] } } } });
  const capturedAt = Date.now() - 60_000;
  await expect.poll(async () => {
    a.api.observe([{ camera: 'line-1', capturedAt, detections: [{ className: 'scratch', confidence: 0.9 }] }]);
    return (await b.call<{ items: unknown[] }>('GET', '/v1/marks', { token })).body.items;
  }, SOON).toMatchObject([{ tags: ['scratch'] }]);
});

test('a camera that both are told to make is made once; two changes of different settings at once are both kept', async () => {
  const { access_token: token } = await a.login();
  const made = await Promise.all([a, b].map((h) => h.call('POST', '/v1/cameras', { token, json: { id: 'line-1', pipelines: [] } })));
  expect(made.map(({ status }) => status).sort()).toEqual([201, 409]);
  for (let i = 0; i < 20; i++) {
    const changes = await Promise.all([
      a.call('PATCH', '/v1/cameras/line-1', { token, json: { name: `name ${i}` } }), b.call('PATCH', '/v1/cameras/line-1', { token, json: { recording: { policy: i % 2 === 0 ? 'off' : 'always' } } }),
    ]);
    expect(changes.map(({ status }) => status)).toEqual([200, 200]);
    expect((await a.call('GET', '/v1/cameras/line-1', { token })).body).toMatchObject({ name: `name ${i}`, recording: { policy: i % 2 === 0 ? 'off' : 'always' } });
  }
});

test('the last two administrators cannot give each other up at once', async () => {
  const { access_token: token, user } = await a.login();
  const other = (await a.call<{ id: string }>('POST', '/v1/users', { token, json: { username: 'olga', password: 'long enough', role: 'admin' } })).body.id;
  const own = (await b.login('olga', 'long enough')).access_token;
  const answers = await Promise.all([a.call('PATCH', `/v1/users/${other}`, { token, json: { disabled: true } }), b.call('PATCH', `/v1/users/${user.id}`, { token: own, json: { role: 'viewer' } })]);
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
  expect(await a.db.selectFrom('users').select('id').where('role', '=', 'admin').where('disabled_at', 'is', null).execute()).toHaveLength(1);
});

test('a refresh token that is shown to both at once is good for one pair at most, and its log-in ends', async () => {
  for (let i = 0; i < 5; i++) {
    const { refresh_token } = await a.login();
    const answers = await Promise.all([a, b].map((h) => h.call<{ refresh_token?: string }>('POST', '/v1/auth/refresh', { json: { refresh_token } })));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 401]);
    const given = answers.find(({ status }) => status === 200)?.body.refresh_token;
    expect((await a.call('POST', '/v1/auth/refresh', { json: { refresh_token: given } })).status).toBe(401);
  }
});

test('both trim the audit log and delete what is old at once: nothing goes that should stay, and neither fails', async () => {
  await a.db.deleteFrom('audit').execute();
  await a.db.insertInto('audit').values(Array.from({ length: 3_000 }, (_, i) => ({ at: i, principal: null, action: `a${i}`, target: null, result: i % 2 === 0 ? 'ok' : 'denied', detail: null }))).execute();
  await Promise.all([a, b].map((h) => new AuditStore(h.db).trim(2_500, 1_000)));
  const left = await a.db.selectFrom('audit').select('result').execute();
  expect([left.length, left.filter(({ result }) => result === 'ok').length]).toEqual([2_500, 1_500]);
  await a.db.insertInto('alarms').values(Array.from({ length: 2_000 }, (_, i) => ({ id: `a${i}`, camera_id: null, code: 'c', message: 'm', raised: 0 as const, at: i }))).execute();
  const sweep = async (h: Harness): Promise<number> => {
    let deleted = 0;
    for (let some = -1; some !== 0; deleted += some) some = await new AlarmStore(h.db).deleteCleared(1_500, 100);
    return deleted;
  };
  const deleted = await Promise.all([a, b].map(sweep));
  expect(deleted.reduce((sum, n) => sum + n, 0)).toBe(1_500);
  expect(await a.db.selectFrom('alarms').select('id').execute()).toHaveLength(500);
});

test('a batch of an edge that reaches both, for its connection broke, is written once', async () => {
  await a.db.insertInto('edges').values({ journal_id: 'j', edge_id: 'e', last_seq: 0, media_base_url: 'http://x', seen_at: 1 }).execute();
  const stores = [a, b].map(({ db }) => new EventStore({ db, clock: systemClock, logger: silentLogger() }));
  const detection = { className: 'n', classId: 0, confidence: 0.5, x: 1, y: 2, width: 3, height: 4 };
  for (let round = 0; round < 10; round++) {
    const events = Array.from({ length: 20 }, (_, i) => create(EventSchema, {
      seq: BigInt(round * 20 + i + 1), event: { case: 'detections', value: { results: [{ camera: 'c', epoch: 1, rtpTimestamp: i, sequence: BigInt(i), capturedAt: 1.5, model: 'm', modelDigest: 'd', detections: [detection, detection] }] } },
    }));
    const { events: batch } = create(EventBatchSchema, { events });
    expect(await Promise.all(stores.map((store) => store.store('j', batch)))).toEqual([(round + 1) * 20, (round + 1) * 20]);
  }
  expect(await new DetectionStore(b.db).list({}, 'asc', undefined, 1_000)).toHaveLength(400);
});

test('[OPS-1] events become visible in the order of their ids, whoever writes them: who reads on misses none', async () => {
  const topic = 'video-analysis-events';
  const events = [a, b].map(({ db, metrics }) => new EventService({ db, clock: systemClock, logger: silentLogger(), metrics, retentionHours: 1 }));
  const [first, second] = events;
  if (!first || !second) throw new Error('two');
  const event = (n: number) => ({ topic, camera: null, at: 1, body: { n } }) as const;
  const gate = Promise.withResolvers<undefined>();
  const held = Promise.withResolvers<undefined>();
  const slow = a.db.transaction().execute(async (tx) => {
    await first.append(tx, event(1));
    held.resolve(undefined);
    await gate.promise;
  });
  await held.promise;
  const fast = b.db.transaction().execute((tx) => second.append(tx, event(2)));
  await new Promise((resolve) => { setTimeout(resolve, 300); });
  expect((await second.read(topic, 0, 10)).events).toEqual([]); // the second one waits, or its id would be passed by
  gate.resolve(undefined);
  await Promise.all([slow, fast]);
  expect((await second.read(topic, 0, 10)).events.map(({ body }) => (JSON.parse(body) as { n: number }).n)).toEqual([1, 2]);
  for (const each of events) await each[Symbol.asyncDispose]();
});

test('[SD-56] a token revoked at one ends its sockets at the other within a second', async () => {
  const { access_token: token } = await a.login();
  const socket = new WebSocket(`${b.base.replace('http', 'ws')}/v1/ws?token=${token}`);
  let closed = 0;
  socket.on('close', (code) => { closed = code; });
  await once(socket, 'message');
  expect((await a.call('POST', '/v1/auth/logout', { token })).status).toBe(204);
  await expect.poll(() => closed, { timeout: 10_000 }).toBe(4401); // a ping would find it after 20 s
});

test('two jobs of one camera never run at once, of two cameras they do', async () => {
  const stores = [new AnalysisStore(a.db), new AnalysisStore(b.db)] as const;
  const job = (id: string, camera_id: string, created_at: number) => ({
    id, camera_id, from_ms: 0, to_ms: 1, fps: 1, detectors: '[]', state: 'queued' as const, position_ms: 0, pictures: 0, undecodable: 0, missing_segments: 0, detections: 0, error: null, heartbeat_at: null, created_at, created_by: null, finished_at: null,
  });
  for (const row of [job('1', 'x', 1), job('2', 'x', 2), job('3', 'y', 3)]) await stores[0].insert(row);
  const claimed = await Promise.all([stores[0].claim(10), stores[1].claim(10), stores[0].claim(10)]);
  expect(claimed.map((row) => row?.id ?? null).sort()).toEqual(['1', '3', null]);
  const end = { state: 'done', error: null, quality: { defect_count: null, quality_score: null } } as const;
  await expect(stores[1].end('1', end, 11, () => Promise.reject(new Error('the event cannot be written')))).rejects.toThrow();
  expect(await stores[0].claim(11)).toBeUndefined(); // it has not ended without its event
  expect(await stores[1].end('1', end, 12, () => Promise.resolve())).toBe(true);
  expect((await stores[0].claim(13))?.id).toBe('2');
});
