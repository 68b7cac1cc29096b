import { expect, test } from 'vitest';
import { freshDatabase } from '../testing/fresh-database.ts';

test('every table of the schema exists with the columns of its type', async () => {
  const database = await freshDatabase();
  const rows = {
    camera_keys: { id: 'k', camera_id: 'c', kind: 'publish' as const, hash: 'h', ha1: 'a', created_at: 1, revoked_at: null },
    revoked_tokens: { jti: 'j', expires_at: 1 },
    signing_keys: { kid: 'k', private_jwk: '{}', public_jwk: '{}', created_at: 1, retired_at: null },
    audit: { at: 1, principal: null, action: 'a', target: null, result: 'ok', detail: null },
    sessions: { id: 's', camera_id: 'c', phase: 'live' as const, protocol: 'rtsp', started_at: 1.5, ended_at: null, reason: null, epoch: null },
    segments: { id: 'g', camera_id: 'c', session_id: 's', epoch: 1, start_ms: 1.25, end_ms: 2, bytes: 3, sha256: null, open: 1 as const, tracks: '[]', gap_before: null, gap_cause: null, expired_at: null, prev_sha256: null, local: 1 as const, archived_at: null },
    detections: { camera_id: 'c', stream_epoch: 1_750_000_000_000, rtp_timestamp: 4_294_967_295, captured_at_ms: 1, sequence: 1, class_name: 'n', class_id: 0, confidence: 0.5, x: 0, y: 0, width: 1, height: 1, track_id: null, model: 'm', model_digest: 'd' },
    marks: {
      id: 'm', camera_id: 'c', from_ms: 1.5, to_ms: 2, kind: 'link' as const, archive: 1 as const, title: null, note: null, product_id: 'p', inspection_id: null, work_order_id: 'WO-1', instruction_id: null,
      product_type: null, machine_number: null, production_date: '2026-11-28', monthly_sequence: 7, inspection_result: 'OK', created_at: 1, created_by: 'admin', seq: 1536,
    },
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
  await database.insertInto('marks').values(rows.marks).execute();
  await database.insertInto('mark_tags').values({ mark_id: 'm', tag: 't', seq: 1536 }).execute();
  await database.insertInto('alarms').values(rows.alarms).execute();
  expect(await database.selectFrom('segments').selectAll().executeTakeFirst()).toEqual(rows.segments);
  expect(await database.selectFrom('marks').selectAll().executeTakeFirst()).toEqual(rows.marks);
  expect(await database.selectFrom('detections').selectAll().executeTakeFirst()).toEqual({ id: 1, ...rows.detections });
  await database.destroy();
});
