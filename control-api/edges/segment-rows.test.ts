import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Kysely } from 'kysely';
import type { Database } from '../../platform/database/schema.ts';
import { freshDatabase } from '../../platform/testing/fresh-database.ts';
import { SegmentSchema } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import { expireSegments, upsertSegments } from './segment-rows.ts';

let db: Kysely<Database>;
beforeEach(async () => { db = await freshDatabase(); });
afterEach(async () => { await db.destroy(); });

const segment = (n: number) => create(SegmentSchema, { id: `cam/${String(n)}`, camera: 'cam', sessionId: 's', epoch: 1, start: n, duration: 1, bytes: 3n, sha256: 'ab', open: false, tracks: [] });
const rows = async () => (await db.selectFrom('segments').select(['id', 'local', 'archived_at', 'expired_at']).orderBy('id').execute()).map((row) => [row.id, row.local, row.archived_at, row.expired_at]);
const expire = (ids: readonly string[], now: number) => db.transaction().execute((tx) => expireSegments(tx, ids, now));

test('[REC-8] what the edge gave up stays listed when it is in the archive, and is gone when it is not', async () => {
  await upsertSegments(db, [segment(1), segment(2)]);
  await db.updateTable('segments').set({ archived_at: 5 }).where('id', '=', 'cam/1').execute();
  await expire(['cam/1', 'cam/2'], 9);
  expect(await rows()).toEqual([['cam/1', 0, 5, null], ['cam/2', 0, null, 9]]);
  await expire(['cam/1', 'cam/2'], 10);
  expect(await rows()).toEqual([['cam/1', 0, 5, null], ['cam/2', 0, null, 9]]);
});

test('[REC-8] an edge that holds an archived segment again, or still, says so', async () => {
  await upsertSegments(db, [segment(1)]);
  await db.updateTable('segments').set({ archived_at: 5, local: 0 }).execute();
  await upsertSegments(db, [segment(1)]);
  expect(await rows()).toEqual([['cam/1', 1, 5, null]]);
});
