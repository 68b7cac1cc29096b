import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { FakeClock } from '../../core/testing-clock.ts';
import type { CodeSeen } from '../../media-control/port.ts';
import { toWireEvent } from '../../media-control/wire-events.ts';
import { silentLogger } from '../../platform/logging.ts';
import { freshDatabase } from '../../platform/testing/fresh-database.ts';
import { EventSchema } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import type { Event } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import { Outbox, TOPICS } from '../events/service.ts';
import { EventStore } from './event-store.ts';

const AT = 1_750_000_000_000;
const SEEN: CodeSeen = {
  camera: 'line-1', format: 'qr', text: 'https://mes.example/wo/4711', bytes: null, corners: [[0.1, 0.2], [0.3, 0.2], [0.3, 0.4], [0.1, 0.4]], firstSeen: AT, at: AT + 1_500, epoch: 3, rtpTs: 90_000, seq: 42,
};

test('[PRO-2] a code that came into the picture is told once on video-analysis-events, text or bytes; a kind that only a newer edge knows keeps nothing else out', async () => {
  const db = await freshDatabase();
  await using _db = { [Symbol.asyncDispose]: () => db.destroy() };
  await db.insertInto('edges').values({ journal_id: 'j', edge_id: 'e', last_seq: 0, media_base_url: 'http://x', seen_at: 1 }).execute();
  const store = new EventStore({ db, clock: new FakeClock(), logger: silentLogger() });
  const [first, newer, binary] = [SEEN, SEEN, { ...SEEN, format: 'data_matrix' as const, text: null, bytes: 'AP+A' }].map((seen, i): Event => create(EventSchema, { ...toWireEvent({ type: 'code', seen }), seq: BigInt(i + 1) }));
  if (!first || !newer || !binary || newer.event.case !== 'codeSeen') throw new Error('no events');
  newer.event.value.format = 'of a later version';
  await store.store('j', [first]);
  await store.store('j', [first, newer, binary]);
  const { events } = await new Outbox(db).read('video-analysis-events', 0, 10);
  expect(events.map(({ camera }) => camera)).toEqual(['line-1', 'line-1']);
  const told = events.map(({ body }) => TOPICS['video-analysis-events'].schema.parse(JSON.parse(body)));
  const same = { corners: SEEN.corners, epoch: 3, rtp_timestamp: 90_000, sequence: 42 };
  expect(told).toMatchObject([
    {
      event_type: 'code_seen', camera: 'line-1', from: '2025-06-15T15:06:40.000Z', to: '2025-06-15T15:06:41.500Z', timestamp: '2025-06-15T15:06:41.500Z', video_id: 'line-1/2025-06-15T15:06:40.000Z/2025-06-15T15:06:41.500Z',
      code: { ...same, format: 'qr', text: 'https://mes.example/wo/4711', bytes: null },
    },
    { event_type: 'code_seen', code: { ...same, format: 'data_matrix', text: null, bytes: 'AP+A' } },
  ]);
});
