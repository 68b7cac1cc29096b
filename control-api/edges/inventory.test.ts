import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Kysely } from 'kysely';
import { FakeClock } from '../../core/testing-clock.ts';
import type { Database } from '../../platform/database/schema.ts';
import { freshDatabase } from '../../platform/testing/fresh-database.ts';
import { HelloSchema, InventorySchema } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import { InventoryIntake } from './inventory.ts';

let db: Kysely<Database>;
beforeEach(async () => { db = await freshDatabase(); });
afterEach(async () => { await db.destroy(); });

const row = (camera: string, n: number, expiredAt: number | null = null) => ({
  id: `${camera}/${String(n)}`, camera_id: camera, session_id: 's', epoch: 1, start_ms: n, end_ms: n + 1, bytes: 3, sha256: 'ab', open: 0 as const, tracks: '[]', gap_before: null, expired_at: expiredAt,
});
const segment = (camera: string, n: number) => ({ id: `${camera}/${String(n)}`, camera, sessionId: 's', epoch: 1, start: n, duration: 1, bytes: 3n, sha256: 'ab', open: false, tracks: [] });
const listed = async (): Promise<string[]> => (await db.selectFrom('segments').select('id').where('expired_at', 'is', null).orderBy('id').execute()).map(({ id }) => id);

test('after an older database is put back, only what the edge still holds is listed: also of a camera whose files are all gone', async () => {
  const clock = new FakeClock();
  await db.insertInto('segments').values([row('all-gone', 1), row('all-gone', 2), row('half', 1), row('half', 2), row('before', 1, 7)]).execute();
  const intake = new InventoryIntake({ db, clock, hello: create(HelloSchema, { edgeId: 'e', journalId: 'j', mediaBaseUrl: 'http://e' }) });
  expect(await intake.take(create(InventorySchema, { segments: [segment('half', 2)] }))).toBe(false);
  expect(await intake.take(create(InventorySchema, { segments: [segment('half', 3), segment('new', 1)], complete: true }))).toBe(true);
  expect(await listed()).toEqual(['half/2', 'half/3', 'new/1']);
  const expired = await db.selectFrom('segments').select(['id', 'expired_at']).where('expired_at', 'is not', null).orderBy('id').execute();
  expect(expired).toEqual([{ id: 'all-gone/1', expired_at: clock.now() }, { id: 'all-gone/2', expired_at: clock.now() }, { id: 'before/1', expired_at: 7 }, { id: 'half/1', expired_at: clock.now() }]);
});

test('[REC-8] what is in the archive stays listed, whatever the edge holds, and is read from where it is', async () => {
  await db.insertInto('segments').values([{ ...row('cam', 1), archived_at: 5, local: 1 }, { ...row('cam', 2), archived_at: 5, local: 1 }, { ...row('cam', 3), archived_at: 5, local: 0 }, { ...row('cam', 4), archived_at: null, local: 1 }]).execute();
  const intake = new InventoryIntake({ db, clock: new FakeClock(), hello: create(HelloSchema, { edgeId: 'e', journalId: 'j' }) });
  await intake.take(create(InventorySchema, { segments: [segment('cam', 2), segment('cam', 3)], complete: true }));
  expect(await listed()).toEqual(['cam/1', 'cam/2', 'cam/3']);
  expect((await db.selectFrom('segments').select('local').orderBy('id').execute()).map(({ local }) => local)).toEqual([0, 1, 1, 0]);
});

test('[SD-53] a database that was lost gets back which cameras are shown to nobody', async () => {
  const intake = new InventoryIntake({ db, clock: new FakeClock(), hello: create(HelloSchema, { edgeId: 'e', journalId: 'j' }) });
  await intake.take(create(InventorySchema, { complete: true, cameras: [{ id: 'hidden', distributionOff: true, recording: 'always' }, { id: 'shown', recording: 'always' }] }));
  expect(await db.selectFrom('cameras').select(['id', 'distribution']).orderBy('id').execute()).toEqual([{ id: 'hidden', distribution: 'off' }, { id: 'shown', distribution: 'on' }]);
});

test('an edge that holds nothing leaves nothing listed, however much there was', async () => {
  const rows = Array.from({ length: 2_500 }, (_, n) => row('cam', n));
  for (let i = 0; i < rows.length; i += 500) await db.insertInto('segments').values(rows.slice(i, i + 500)).execute();
  const intake = new InventoryIntake({ db, clock: new FakeClock(), hello: create(HelloSchema, { edgeId: 'e', journalId: 'j' }) });
  await intake.take(create(InventorySchema, { complete: true }));
  expect(await listed()).toEqual([]);
});
