import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test, vi } from 'vitest';
import { Webhook as Verifier } from 'standardwebhooks';
import { Config } from '../../config/schema.ts';
import type { Webhook } from '../../config/webhooks.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { freshDatabase } from '../../platform/testing/fresh-database.ts';
import { AlarmService } from '../alarms/service.ts';
import { AlarmStore } from '../alarms/store.ts';
import { EventService } from '../events/service.ts';
import type { NewEvent } from '../events/service.ts';
import { Webhooks } from './service.ts';

const SECRET = `whsec_${Buffer.alloc(24, 3).toString('base64')}`;

vi.setConfig({ testTimeout: 90_000 });
const WITHIN_MS = 60_000;
const LARGE_MS = 400;

interface Received { readonly id: string; readonly topic: string; readonly name: string }

/** A receiver that answers as it is told, and notes what it took. */
const receiver = async () => {
  const taken: Received[] = [];
  const asked: { readonly headers: IncomingMessage['headers']; readonly body: string }[] = [];
  let status = 204;
  const server = createServer((request, response) => {
    void (async () => {
      let body = '';
      for await (const chunk of request) body += String(chunk);
      asked.push({ headers: request.headers, body });
      if (status >= 200 && status < 300) {
        const { topic, event } = JSON.parse(body) as { topic: string; event: { name: string } };
        taken.push({ id: String(request.headers['webhook-id']), topic, name: event.name });
      }
      response.writeHead(status, { location: '/elsewhere' }).end();
    })();
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/hook`, taken, asked,
    answer: (next: number) => { status = next; },
    [Symbol.asyncDispose]: async () => { server.closeAllConnections(); await new Promise((resolve) => { server.close(resolve); }); },
  };
};

const setUp = async () => {
  const stack = new AsyncDisposableStack();
  const db = await freshDatabase();
  stack.defer(() => db.destroy());
  const clock = new FakeClock(Date.now());
  const metrics = createMetrics('control');
  const events = stack.use(new EventService({ db, clock, logger: silentLogger(), metrics, retentionHours: 168 }));
  const alarms = new AlarmService({ store: new AlarmStore(db), clock, metrics, logger: silentLogger() });
  const start = (...webhooks: readonly Webhook[]): Webhooks => {
    const sender = new Webhooks({ db, events, alarms, webhooks, clock, logger: silentLogger(), metrics });
    sender.start();
    return sender;
  };
  const tell = async (...named: readonly (Partial<NewEvent> & { readonly name: string })[]): Promise<void> => {
    await db.transaction().execute((tx) => events.append(tx, ...named.map(({ name, topic = 'video-analysis-events', camera = 'line-1', body = {} }) => ({ topic, camera, at: clock.now(), body: { event_type: 'rule_began', name, ...body } }))));
    events.committed();
  };
  /** Lets time pass until it is so; in large steps where there is much to wait for, and an answer need not come in time. */
  const until = (check: () => unknown, stepMs = 50): Promise<void> => expect.poll(() => { clock.advance(stepMs); return check(); }, { timeout: WITHIN_MS, interval: 5 }).toBeTruthy();
  /** Until the webhook has begun: it is told what comes from then on. */
  const begun = (count = 3): Promise<void> => expect.poll(async () => { clock.advance(100); return (await db.selectFrom('webhook_positions').selectAll().execute()).length; }, { timeout: WITHIN_MS, interval: 5 }).toBe(count);
  const results = async (): Promise<Record<string, number>> => Object.fromEntries((await metrics.webhookDeliveries.get()).values.map(({ labels, value }) => [String(labels.result), value]));
  /** Lets time pass until there is an alarm; those there are. */
  const alarmed = async () => {
    for (let tries = 0; tries < 5_000; tries++) {
      const raised = await db.selectFrom('alarms').selectAll().where('raised', '=', 1).execute();
      if (raised.length > 0) return raised;
      clock.advance(LARGE_MS);
      await new Promise((resolve) => { setTimeout(resolve, 5); });
    }
    return [];
  };
  const labels = async (): Promise<unknown> => (await metrics.webhookDeliveries.get()).values;
  return { db, clock, alarmed, labels, start, tell, until, begun, results, [Symbol.asyncDispose]: () => stack.disposeAsync() };
};

const ALL = ['video-analysis-events', 'video-stream-archive', 'system-metrics'] as const;
const hook = (url: string, more: Partial<Webhook> = {}): Webhook => ({ url, topics: [...ALL], ...more });

test('[INF-6][OPS-1] events are sent in order as they happen, signed, from the first start on and not those of before', async () => {
  await using there = await receiver();
  await using s = await setUp();
  await s.tell({ name: 'before' });
  await using _sender = s.start(hook(there.url, { secret: SECRET }));
  await s.begun();
  await s.tell({ name: 'a' }, { name: 'b' });
  await s.tell({ name: 'c', topic: 'system-metrics' });
  await s.until(() => there.taken.length === 3);
  expect(there.taken.filter(({ topic }) => topic === 'video-analysis-events').map(({ name }) => name)).toEqual(['a', 'b']);
  const { headers, body } = there.asked.find((each) => each.body.includes('"name":"a"')) ?? { headers: {}, body: '' }; // topics wait for each other in no order
  expect(new Verifier(SECRET).verify(body, headers as Record<string, string>)).toMatchObject({ topic: 'video-analysis-events', cursor: '2', event: { name: 'a', event_id: headers['webhook-id'] } });
});

test('[INF-6] what the webhook does not ask for is passed over', async () => {
  await using there = await receiver();
  await using s = await setUp();
  await using _sender = s.start(hook(there.url, { topics: ['video-analysis-events'], event_types: ['rule_began'], cameras: ['line-1'] }));
  await s.begun(1);
  await s.tell({ name: 'other camera', camera: 'line-2' }, { name: 'of none', camera: null }, { name: 'other type', body: { event_type: 'search_completed' } }, { name: 'other topic', topic: 'system-metrics' }, { name: 'mine' });
  await s.until(() => there.taken.length > 0);
  expect(there.taken.map(({ name }) => name)).toEqual(['mine']);
});

test('[INF-6] a receiver that is down gets everything in order when it is back, the operator hears of it, and another receiver does not wait', async () => {
  await using down = await receiver();
  await using well = await receiver();
  await using s = await setUp();
  await using _sender = s.start(hook(`${down.url}?token=hidden`), hook(well.url));
  await s.begun(6);
  down.answer(503);
  await s.tell({ name: 'a' }, { name: 'b' });
  await s.until(() => well.taken.length === 2);
  const raised = await s.alarmed();
  expect(raised).toMatchObject([{ code: 'webhook_unavailable' }]);
  expect(raised[0]?.message).toContain('503');
  for (const secret of ['hidden', '/hook']) expect(JSON.stringify([raised, await s.results(), await s.labels()])).not.toContain(secret);
  down.answer(302); // a redirect is no answer
  await s.tell({ name: 'c' });
  const before = down.asked.length;
  await s.until(() => down.asked.length > before, LARGE_MS);
  down.answer(200);
  await s.until(() => down.taken.some(({ name }) => name === 'c'), LARGE_MS);
  // Here time passes faster than a busy machine answers: what was taken too late for its deadline comes again.
  expect([...new Map(down.taken.map(({ id, name }) => [id, name])).values()]).toEqual(['a', 'b', 'c']);
  await expect.poll(async () => (await s.db.selectFrom('alarms').select('raised').execute()).map(({ raised: on }) => on)).toEqual([0]);
});

test('[INF-6] an event that is refused is given up after three times, and the next ones come', async () => {
  await using there = await receiver();
  await using s = await setUp();
  await using _sender = s.start(hook(there.url));
  await s.begun();
  there.answer(422);
  await s.tell({ name: 'poison' });
  await s.until(() => there.asked.length === 3);
  there.answer(200);
  await s.tell({ name: 'next' });
  await s.until(() => there.taken.length === 1);
  expect(there.taken.map(({ name }) => name)).toEqual(['next']);
  await expect.poll(() => s.results()).toMatchObject({ refused: 3, given_up: 1, delivered: 1 });
});

test('[INF-6] after a restart it goes on where it was; of two control processes one sends', async () => {
  await using there = await receiver();
  await using s = await setUp();
  const first = s.start(hook(there.url));
  await s.begun();
  await s.tell({ name: 'a' });
  await s.until(() => there.taken.length === 1);
  await expect.poll(async () => (await s.db.selectFrom('webhook_positions').select('last_id').where('topic', '=', 'video-analysis-events').executeTakeFirst())?.last_id).toBe(1); // else it is sent again
  await first[Symbol.asyncDispose]();
  await s.tell({ name: 'while away' });
  await using _second = s.start(hook(there.url));
  await using _third = s.start(hook(there.url));
  await s.until(() => there.taken.length === 2);
  for (const name of ['b', 'c', 'd']) await s.tell({ name });
  await s.until(() => there.taken.length >= 5);
  for (let i = 0; i < 100; i++) { s.clock.advance(10); await new Promise((resolve) => { setTimeout(resolve, 1); }); }
  expect(there.taken.map(({ name }) => name)).toEqual(['a', 'while away', 'b', 'c', 'd']);
});

test('[INF-6] a webhook that is named no more is forgotten with its alarm: named again, it is new', async () => {
  await using there = await receiver();
  await using s = await setUp();
  await (async () => {
    await using _sender = s.start(hook(there.url));
    await s.begun();
    there.answer(500);
    await s.tell({ name: 'never sent' });
    await s.alarmed();
  })();
  await using none = s.start();
  await expect.poll(() => s.db.selectFrom('webhook_positions').selectAll().execute()).toEqual([]);
  await expect.poll(async () => (await s.db.selectFrom('alarms').select('raised').execute())[0]?.raised).toBe(0);
  await none[Symbol.asyncDispose]();
  there.answer(200);
  await using _again = s.start(hook(there.url));
  await s.begun();
  await s.tell({ name: 'new' });
  await s.until(() => there.taken.length === 1);
  expect(there.taken.map(({ name }) => name)).toEqual(['new']);
});

test('[INF-6] a new webhook whose receiver is down loses no event of any topic', async () => {
  await using there = await receiver();
  await using s = await setUp();
  there.answer(503);
  await using _sender = s.start(hook(there.url));
  await s.begun();
  await s.tell({ name: 'a' });
  await s.until(() => there.asked.length > 0);
  await s.tell({ name: 'm', topic: 'system-metrics' });
  there.answer(200);
  await s.until(() => there.taken.length === 2);
  expect(there.taken.map(({ name }) => name)).toEqual(['a', 'm']);
});

test('[INF-6] an event that nobody took is missed when its time is over, and the next ones come; a claim by a clock that was ahead holds nobody up', async () => {
  await using there = await receiver();
  await using s = await setUp();
  await (async () => {
    await using _sender = s.start(hook(there.url));
    await s.begun();
  })();
  await s.db.updateTable('webhooks').set({ owner: 'one of tomorrow', owned_until: s.clock.now() + 86_400_000 }).execute();
  there.answer(500);
  await using _sender = s.start(hook(there.url));
  await s.tell({ name: 'old' });
  await s.until(() => there.asked.length >= 2);
  await s.db.deleteFrom('events').execute();
  await s.db.insertInto('event_topics').values({ topic: 'video-analysis-events', deleted_through: 1 }).execute();
  there.answer(404);
  await expect.poll(async () => { s.clock.advance(100); return (await s.results())['missed']; }, { timeout: WITHIN_MS, interval: 5 }).toBe(1);
  there.answer(200);
  await s.tell({ name: 'next' });
  await s.until(() => there.taken.length === 1);
  expect(there.taken.map(({ name }) => name)).toEqual(['next']);
});

test('[INF-6] what cannot be a webhook is refused with the configuration', () => {
  const of = (...webhooks: readonly unknown[]) => Config.safeParse({ events: { webhooks } }).success;
  expect(of({ url: 'https://example.com/hook', secret: SECRET })).toBe(true);
  for (const bad of [{ url: 'ftp://example.com' }, { url: 'x' }, { url: 'http://a', secret: 'short' }, { url: 'http://a', secret: `whsec_${Buffer.alloc(8).toString('base64')}` }, { url: 'http://user:pass@a' }, { url: 'http://a', topics: ['none'] }, { url: 'http://a', more: 1 }]) expect(of(bad), JSON.stringify(bad)).toBe(false);
  expect(of({ url: 'http://a' }, { url: 'http://a' })).toBe(false);
});
