import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { FakeClock } from '../../core/testing-clock.ts';
import { toWireEvent } from '../../media-control/wire-events.ts';
import { silentLogger } from '../../platform/logging.ts';
import { freshDatabase } from '../../platform/testing/fresh-database.ts';
import { EventSchema } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import { Outbox, TOPICS } from '../events/service.ts';
import { EventStore } from './event-store.ts';

/** A store that knows the journal `j`. */
const open = async () => {
  const db = await freshDatabase();
  await db.insertInto('edges').values({ journal_id: 'j', edge_id: 'e', last_seq: 0, media_base_url: 'http://x', seen_at: 1 }).execute();
  return { db, store: new EventStore({ db, clock: new FakeClock(), logger: silentLogger() }), [Symbol.asyncDispose]: () => db.destroy() };
};

test('[EXT-3] a changed height is told once on system-metrics, however often the edge delivers it', async () => {
  await using opened = await open();
  const change = { camera: 'line-1', at: 1_750_000_000_000.4, from: 2160, to: 1080, full: 2160, cause: 'cpu_busy' };
  const batch = [create(EventSchema, { ...toWireEvent({ type: 'height-changed', change }), seq: 1n })];
  expect([await opened.store.store('j', batch), await opened.store.store('j', batch)]).toEqual([1, 1]);
  const { events } = await new Outbox(opened.db).read('system-metrics', 0, 10);
  expect(events.map(({ body }) => TOPICS['system-metrics'].schema.parse(JSON.parse(body)))).toEqual([{
    event_type: 'shown_height_changed', event_id: expect.any(String) as string, camera: 'line-1', shown_height: { from: 2160, to: 1080, full: 2160, cause: 'cpu_busy' }, timestamp: '2025-06-15T15:06:40.000Z',
  }]);
});

test('[EXT-3] a changed rate is told once on system-metrics, however often the edge delivers it', async () => {
  await using opened = await open();
  const { db, store } = opened;
  const change = (to: number) => toWireEvent({ type: 'rate-changed', change: { camera: 'line-1', at: 1_750_000_000_000.4, from: 15, to, full: 15, models: [{ detector: 'detect', from: 'm', to: 'lighter', full: 'm' }], cause: 'worker_busy' } });
  const batch = [8, 4].map((to, i) => create(EventSchema, { ...change(to), seq: BigInt(i + 1) }));
  expect(await store.store('j', batch.slice(0, 1))).toBe(1);
  expect(await store.store('j', batch)).toBe(2);
  const { events } = await new Outbox(db).read('system-metrics', 0, 10);
  expect(events.map(({ camera }) => camera)).toEqual(['line-1', 'line-1']);
  const told = events.map(({ body }) => TOPICS['system-metrics'].schema.parse(JSON.parse(body)));
  expect(told).toMatchObject([8, 4].map((to) => ({
    event_type: 'detection_rate_changed', camera: 'line-1', detection_rate: { from_fps: 15, to_fps: to, full_fps: 15, models: [{ detector: 'detect', from_model: 'm', to_model: 'lighter', full_model: 'm' }], cause: 'worker_busy' }, timestamp: '2025-06-15T15:06:40.000Z',
  })));
});
