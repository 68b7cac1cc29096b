import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { FakeClock } from '../../core/testing-clock.ts';
import { toWireEvent } from '../../media-control/wire-events.ts';
import type { RuleFinding as Finding } from '../../media-control/port.ts';
import { silentLogger } from '../../platform/logging.ts';
import { freshDatabase } from '../../platform/testing/fresh-database.ts';
import { EventSchema } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import type { RuleFinding } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import { Outbox, TOPICS } from '../events/service.ts';
import { EventStore } from './event-store.ts';

const AT = 1_750_000_000_000;
const ID = '5b2e3c1a-3f0e-4a57-9a44-1f2f6e1c9b11';
const BEGAN: Finding = {
  id: ID, phase: 'began', camera: 'line-1', detector: 'detect', model: 'm', rule: 'too many', type: 'count', place: 'press', from: AT, to: AT + 1500, count: 2, classes: ['person'], tracks: ['4', '7'], direction: null, epoch: 3, rtpTs: 90_000,
};
const CROSSED: Finding = { ...BEGAN, id: '0c1f6a3e-1d52-4f0e-8d61-7a3b4e0f2c22', phase: 'happened', rule: 'in', type: 'cross', place: 'gate', to: AT, count: 1, tracks: ['4'], direction: 'to_right' };

test('[INF-6] what a rule says is told once on video-analysis-events, and to who listens once it is stored', async () => {
  const db = await freshDatabase();
  await using _db = { [Symbol.asyncDispose]: () => db.destroy() };
  await db.insertInto('edges').values({ journal_id: 'j', edge_id: 'e', last_seq: 0, media_base_url: 'http://x', seen_at: 1 }).execute();
  const heard: RuleFinding[] = [];
  const store = new EventStore({ db, clock: new FakeClock(), logger: silentLogger(), onRules: (findings) => { heard.push(...findings); } });
  const batch = [BEGAN, { ...BEGAN, phase: 'ended' as const, to: AT + 9000, count: 3, place: null }, CROSSED].map((finding, i) => create(EventSchema, { ...toWireEvent({ type: 'rule', finding }), seq: BigInt(i + 1) }));
  await store.store('j', batch.slice(0, 1));
  await store.store('j', batch);
  expect(heard.map(({ phase }) => phase)).toEqual(['began', 'ended', 'happened']);
  const { events } = await new Outbox(db).read('video-analysis-events', 0, 10);
  const told = events.map(({ body }) => TOPICS['video-analysis-events'].schema.parse(JSON.parse(body)));
  const rule = { occurrence_id: ID, id: 'too many', type: 'count', detector: 'detect', model: 'm', zone: 'press', line: null, direction: null, count: 2, class_names: ['person'], track_ids: ['4', '7'], epoch: 3, rtp_timestamp: 90_000 };
  expect(told).toMatchObject([
    { event_type: 'rule_began', camera: 'line-1', from: '2025-06-15T15:06:40.000Z', to: '2025-06-15T15:06:41.500Z', timestamp: '2025-06-15T15:06:41.500Z', video_id: 'line-1/2025-06-15T15:06:40.000Z/2025-06-15T15:06:41.500Z', rule },
    { event_type: 'rule_ended', rule: { occurrence_id: ID, zone: null, count: 3 } },
    { event_type: 'rule_happened', rule: { type: 'cross', zone: null, line: 'gate', direction: 'to_right' } },
  ]);
});

test('[INF-6] what an edge that was killed did not end is ended once, when the next one begins, with the times of its begin and without a longer clip', async () => {
  const db = await freshDatabase();
  await using _db = { [Symbol.asyncDispose]: () => db.destroy() };
  await db.insertInto('edges').values({ journal_id: 'j', edge_id: 'e', last_seq: 0, media_base_url: 'http://x', seen_at: 1 }).execute();
  const heard: string[] = [];
  const store = new EventStore({ db, clock: new FakeClock(), logger: silentLogger(), onRules: (findings) => { heard.push(...findings.map(({ phase }) => phase)); } });
  const over = '7d0f6a3e-1d52-4f0e-8d61-7a3b4e0f2c33';
  const rules: readonly Finding[] = [BEGAN, { ...BEGAN, id: over }, CROSSED, { ...BEGAN, id: over, phase: 'ended', to: AT + 4000 }];
  const started = (at: number) => toWireEvent({ type: 'edge-started', at });
  const batch = [started(AT - 1), ...rules.map((finding) => toWireEvent({ type: 'rule', finding })), started(AT + 60_000), started(AT + 90_000)].map((event, i) => create(EventSchema, { ...event, seq: BigInt(i + 1) }));
  for (const event of batch) await store.store('j', [event]);
  expect(heard).toEqual(['began', 'began', 'happened', 'ended']);
  const rows = await db.selectFrom('events').select(['at_ms', 'body']).where('topic', '=', 'video-analysis-events').orderBy('id').execute();
  const ended = rows.map(({ at_ms: at, body }) => ({ at, ...TOPICS['video-analysis-events'].schema.parse(JSON.parse(body)) as { readonly event_type: string } })).filter(({ event_type: type }) => type === 'rule_ended');
  expect(ended).toMatchObject([
    { rule: { occurrence_id: over }, to: '2025-06-15T15:06:44.000Z' },
    { at: AT + 60_000, from: '2025-06-15T15:06:40.000Z', to: '2025-06-15T15:06:41.500Z', rule: { occurrence_id: ID, id: 'too many', zone: 'press', count: 2 } },
  ]);
});
