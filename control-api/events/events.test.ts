import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Kysely } from 'kysely';
import { FakeClock } from '../../core/testing-clock.ts';
import type { Database } from '../../platform/database/schema.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { freshDatabase } from '../../platform/testing/fresh-database.ts';
import { EventService } from './service.ts';
import type { NewEvent } from './service.ts';

const TOPIC = 'video-analysis-events';
const HOUR = 3_600_000;

let db: Kysely<Database>;
let clock: FakeClock;
let events: EventService;
let metrics: ReturnType<typeof createMetrics>;
beforeEach(async () => {
  db = await freshDatabase();
  clock = new FakeClock();
  metrics = createMetrics('test');
  events = new EventService({ db, clock, logger: silentLogger(), metrics, retentionHours: 1 });
});
afterEach(async () => {
  await events[Symbol.asyncDispose]();
  await db.destroy();
});

const event = (n: number, camera: string | null = 'line-1'): NewEvent => ({ topic: TOPIC, camera, at: clock.now(), body: { n } });
const append = (...some: NewEvent[]): Promise<void> => db.transaction().execute((tx) => events.append(tx, ...some));
const numbers = async (after = 0, limit = 100): Promise<unknown[]> => (await events.read(TOPIC, after, limit)).events.map(({ body }) => (JSON.parse(body) as { n: unknown }).n);
const settled = async (): Promise<void> => { for (let i = 0; i < 50; i++) await new Promise((resolve) => { setImmediate(resolve); }); };
const dropped = async (): Promise<Record<string, number>> => Object.fromEntries((await metrics.eventsDropped.get()).values.map(({ labels, value }) => [String(labels.reason), value]));

test('[OPS-1] an event is there exactly if the change it tells of is', async () => {
  await append(event(1));
  await expect(db.transaction().execute(async (tx) => {
    await events.append(tx, event(2));
    throw new Error('no');
  })).rejects.toThrow('no');
  await append(event(3), event(4));
  expect(await numbers()).toEqual([1, 3, 4]);
});

test('[OPS-1] events are read on from any of them, each once, in order, with an id and a time of their own', async () => {
  await append(event(1), event(2), event(3));
  const { events: [first, second] } = await events.read(TOPIC, 0, 2);
  expect(JSON.parse(first?.body ?? '')).toEqual({ n: 1, event_id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string, timestamp: new Date(clock.now()).toISOString() });
  expect(await numbers(second?.id)).toEqual([3]);
  expect(await events.newest(TOPIC)).toBe((second?.id ?? 0) + 1);
  expect(await events.newest('video-stream-archive')).toBe(0);
});

test('[OPS-1] what is too old goes, in order, in small steps, and a reader who comes late is told', async () => {
  await append(event(1), event(2), event(3));
  clock.advance(HOUR + 1);
  await append(event(4));
  expect(await events.deletePast(clock.now(), 2)).toBe(2);
  expect(await numbers()).toEqual([3, 4]);
  expect(await events.deletePast(clock.now(), 2)).toBe(1);
  expect(await events.deletePast(clock.now(), 2)).toBe(0);
  expect(await numbers()).toEqual([4]);
  const { deletedThrough } = await events.read(TOPIC, 0, 10);
  expect(deletedThrough).toBe((await events.newest(TOPIC)) - 1);
  // A clock that is set back leaves no hole.
  clock.step(-2 * HOUR);
  await append(event(5));
  clock.step(2 * HOUR);
  expect(await events.deletePast(clock.now(), 10)).toBe(0);
  expect(await numbers()).toEqual([4, 5]);
  clock.advance(2 * HOUR);
  expect(await events.deletePast(clock.now(), 10)).toBe(2);
  expect((await events.read(TOPIC, 0, 10)).deletedThrough).toBe(await events.newest(TOPIC));
});

test('[OPS-1] a cursor of a later event than there are is refused', async () => {
  await append(event(1));
  const newest = await events.newest(TOPIC);
  expect(await events.positionOf(TOPIC, String(newest))).toBe(newest);
  expect(await events.positionOf('video-stream-archive', '0')).toBe(0);
  await expect(events.positionOf(TOPIC, String(newest + 1))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'CURSOR_UNKNOWN' });
});

test('[SD-56] who listens hears of events of its topic, whoever wrote them', async () => {
  let heard = 0;
  const listening = events.listen(TOPIC, () => { heard++; });
  const other = new EventService({ db, clock: new FakeClock(), logger: silentLogger(), metrics, retentionHours: 1 });
  await db.transaction().execute((tx) => other.append(tx, event(1)));
  await other[Symbol.asyncDispose]();
  clock.advance(500);
  await expect.poll(() => heard).toBe(1);
  await settled();
  clock.advance(500); // nothing new
  await settled();
  expect(heard).toBe(1);
  await append(event(2));
  events.committed();
  await expect.poll(() => heard).toBe(2);
  listening[Symbol.dispose]();
  await append(event(3));
  events.committed();
  await settled();
  expect(heard).toBe(2);
});

test('[SD-56] what changes nothing is told once in ten minutes', async () => {
  const mention = (key: string, n: number): void => { events.mention({ topic: TOPIC, by: 'admin', key, event: () => event(n) }); };
  mention('a', 1);
  mention('a', 2);
  mention('b', 3);
  clock.advance(500);
  await expect.poll(() => numbers()).toEqual([1, 3]);
  clock.advance(599_000);
  mention('a', 4);
  clock.advance(1_500);
  mention('a', 5);
  clock.advance(500);
  await expect.poll(() => numbers()).toEqual([1, 3, 5]);
  expect(await dropped()).toEqual({});
});

test('[SD-56] what the database does not take in time is given up, counted', async () => {
  for (let i = 0; i < 1_003; i++) events.mention({ topic: TOPIC, by: `user ${String(i)}`, key: String(i), event: () => event(i) });
  expect(await dropped()).toEqual({ queue_full: 3 });
  clock.advance(500);
  await expect.poll(() => events.newest(TOPIC)).toBe(1_000);
});

test('[SD-56] what fails once is written a little later, what fails twice is given up, counted, and may be told again', async () => {
  let failures = 1;
  const mention = (): void => {
    events.mention({ topic: TOPIC, by: 'admin', key: 'a', event: () => (failures-- > 0 ? Promise.reject(new Error('the database is gone')) : event(failures)) });
  };
  mention();
  clock.advance(500);
  await settled();
  expect(await numbers()).toEqual([]);
  clock.advance(500);
  await expect.poll(() => numbers()).toEqual([-1]);
  clock.advance(600_001);
  failures = 2;
  mention();
  clock.advance(500);
  await settled();
  clock.advance(500);
  await expect.poll(dropped).toEqual({ not_written: 1 });
  mention();
  clock.advance(500);
  await expect.poll(() => numbers()).toEqual([-1, -1]);
});

test('[SD-56] nobody fills a topic alone', async () => {
  for (let i = 0; i < 12; i++) events.mention({ topic: TOPIC, by: 'busy', key: String(i), event: () => event(i) });
  events.mention({ topic: TOPIC, by: 'other', key: 'x', event: () => event(99) });
  clock.advance(500);
  await expect.poll(() => numbers()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 99]);
  expect(await dropped()).toEqual({ too_many: 2 });
  clock.advance(60_000);
  events.mention({ topic: TOPIC, by: 'busy', key: '11', event: () => event(11) });
  clock.advance(500);
  await expect.poll(() => numbers()).toContain(11);
});

test('[SD-56] what waits when the server stops is written', async () => {
  events.mention({ topic: TOPIC, by: 'admin', key: 'a', event: () => event(1) });
  await events[Symbol.asyncDispose]();
  expect(await numbers()).toEqual([1]);
});
