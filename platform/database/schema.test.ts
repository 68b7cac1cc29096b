import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { freshDatabase, freshPlace } from '../testing/fresh-database.ts';
import { search } from './migrations/0006-search.ts';
import { openDatabase } from './open.ts';

test('every table of the schema exists with the columns of its type', async () => {
  const database = await freshDatabase();
  const rows = {
    camera_keys: { id: 'k', camera_id: 'c', kind: 'publish' as const, hash: 'h', ha1: 'a', created_at: 1, revoked_at: null },
    revoked_tokens: { jti: 'j', expires_at: 1 },
    signing_keys: { kid: 'k', private_jwk: '{}', public_jwk: '{}', created_at: 1, retired_at: null },
    audit: { at: 1, principal: null, action: 'a', target: null, result: 'ok', detail: null },
    sessions: { id: 's', camera_id: 'c', phase: 'live' as const, protocol: 'rtsp', started_at: 1.5, ended_at: null, reason: null, epoch: null },
    segments: { id: 'g', camera_id: 'c', session_id: 's', epoch: 1, start_ms: 1.25, end_ms: 2, bytes: 3, sha256: null, open: 1 as const, tracks: '[]', gap_before: null, gap_cause: null, expired_at: null, prev_sha256: null, local: 1 as const, archived_at: null, unmarked_at: null },
    sightings: { camera_id: 'c', class_name: 'n', first_ms: 1.5, last_ms: 2.5, count: 3, at_once: 2, max_confidence: 0.75, analysed_by: 'm' },
    detections: { camera_id: 'c', stream_epoch: 1_750_000_000_000, rtp_timestamp: 4_294_967_295, captured_at_ms: 1, sequence: 1, class_name: 'n', class_id: 0, confidence: 0.5, x: 0, y: 0, width: 1, height: 1, track_id: null, model: 'm', model_digest: 'd', analysis_id: null },
    marks: {
      id: 'm', camera_id: 'c', from_ms: 1.5, to_ms: 2, kind: 'link' as const, archive: 1 as const, title: null, note: null, product_id: 'p', inspection_id: null, work_order_id: 'WO-1', instruction_id: null,
      product_type: null, machine_number: null, production_date: '2026-11-28', monthly_sequence: 7, inspection_result: 'OK', created_at: 1, created_by: 'admin', seq: 1536,
    },
    exports: {
      id: 'x', camera_id: 'c', from_ms: 1.5, to_ms: 2, analysis_id: null, state: 'done' as const, progress: 0.5, pictures: 1, undecodable: 0, missing_segments: 0, boxes: 2, bytes: 3, error: null,
      heartbeat_at: null, created_at: 1, created_by: 'admin', finished_at: 2,
    },
    analyses: {
      id: 'y', camera_id: 'c', from_ms: 1.5, to_ms: 2, fps: 15, detectors: '[]', state: 'done' as const, position_ms: 2, position_segment: 'c/1', pictures: 4, undecodable: 0, missing_segments: 0, detections: 3, defect_classes: '["dent"]',
      defect_pictures: 1, defect_count: 2, quality_score: 0.75, error: null, heartbeat_at: null, created_at: 1, created_by: null, started_at: 2, finished_at: 3,
    },
    events: { topic: 't', camera_id: null, at_ms: 1.5, body: '{}' },
    event_topics: { topic: 't', deleted_through: 3 },
    open_rules: { occurrence_id: 'o', finding: '{}' },
    webhooks: { webhook: 'w', owner: 'o', owned_until: 1.5 },
    webhook_positions: { webhook: 'w', topic: 't', last_id: 3 },
    alarms: { id: 'a', camera_id: null, code: 'c', message: 'm', raised: 1 as const, at: 1 },
  };
  await database.insertInto('users').values({ id: 'u', username: 'admin', password_hash: 'x', role: 'admin', created_at: 1, disabled_at: null }).execute();
  await database.insertInto('refresh_tokens').values({ id: 'r', family: 'f', user_id: 'u', hash: 'h', expires_at: 1, used_at: null, revoked_at: null }).execute();
  await database.insertInto('camera_keys').values(rows.camera_keys).execute();
  await database.insertInto('revoked_tokens').values(rows.revoked_tokens).execute();
  await database.insertInto('signing_keys').values(rows.signing_keys).execute();
  await database.insertInto('audit').values(rows.audit).execute();
  await database.insertInto('sessions').values(rows.sessions).execute();
  await database.insertInto('segments').values(rows.segments).execute();
  await database.insertInto('detections').values(rows.detections).execute();
  await database.insertInto('sightings').values(rows.sightings).execute();
  await database.insertInto('marks').values(rows.marks).execute();
  await database.insertInto('mark_tags').values({ mark_id: 'm', tag: 't', seq: 1536 }).execute();
  await database.insertInto('alarms').values(rows.alarms).execute();
  await database.insertInto('exports').values(rows.exports).execute();
  expect(await database.selectFrom('exports').selectAll().executeTakeFirst()).toEqual(rows.exports);
  expect(await database.selectFrom('segments').selectAll().executeTakeFirst()).toEqual(rows.segments);
  expect(await database.selectFrom('sightings').selectAll().executeTakeFirst()).toEqual(rows.sightings);
  expect(await database.selectFrom('marks').selectAll().executeTakeFirst()).toEqual(rows.marks);
  expect(await database.selectFrom('detections').selectAll().executeTakeFirst()).toEqual({ id: 1, ...rows.detections });
  await database.destroy();
});

test('[REC-6] what was detected before there were sightings is found, too', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'if-db-'));
  try {
    const place = await freshPlace(join(folder, 'control.db'));
    const before = await openDatabase(place);
    const seen = (at: number, more: object = {}) => ({ camera_id: 'c', stream_epoch: 1, rtp_timestamp: 1, captured_at_ms: at, sequence: 1, class_name: 'cup', class_id: 0, confidence: 0.5, x: 0, y: 0, width: 1, height: 1, track_id: null, model: 'm', model_digest: 'd', ...more });
    await before.insertInto('detections').values([seen(1000), seen(11_000, { confidence: 0.9 }), seen(11_000), seen(21_001), seen(2000, { class_name: 'person' }), seen(3000, { camera_id: 'e' })]).execute();
    await sql`drop table sightings`.execute(before);
    await sql`drop table mark_words`.execute(before);
    await search.up(before);
    expect((await before.selectFrom('sightings').selectAll().orderBy('camera_id').orderBy('first_ms').execute()).map(({ camera_id, class_name, first_ms, last_ms, count, at_once, max_confidence }) => [camera_id, class_name, first_ms, last_ms, count, at_once, max_confidence])).toEqual([
      ['c', 'cup', 1000, 11_000, 3, 2, 0.9], ['c', 'person', 2000, 2000, 1, 1, 0.5], ['c', 'cup', 21_001, 21_001, 1, 1, 0.5], ['e', 'cup', 3000, 3000, 1, 1, 0.5],
    ]);
    await before.destroy();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
