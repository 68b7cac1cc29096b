import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { freshDatabase } from '../testing/fresh-database.ts';
import { dialectOf, holdAlone } from './dialect.ts';

const EXPECTED = process.env['TEST_POSTGRES_URL'] === undefined ? 'sqlite' : 'postgres';

test('the tests of this project run on the database they are meant for, and a connection and a transaction know which', async () => {
  const db = await freshDatabase();
  const version = EXPECTED === 'sqlite' ? sql<{ version: string }>`select sqlite_version() as version` : sql<{ version: string }>`select version() as version`;
  expect((await version.execute(db)).rows[0]?.version).toMatch(EXPECTED === 'sqlite' ? /^3\./ : /^PostgreSQL/);
  expect(dialectOf(db).name).toBe(EXPECTED);
  await db.transaction().execute((tx) => { expect(dialectOf(tx).name).toBe(EXPECTED); return Promise.resolve(); });
  await db.destroy();
});

test('texts are ordered byte by byte, numbers come back as numbers, also those beyond 4 bytes and sums of them', async () => {
  const db = await freshDatabase();
  const row = (id: string, bytes: number) => ({ id, camera_id: 'c', session_id: 's', epoch: 1_750_000_000_000, start_ms: 1.25, end_ms: 2, bytes, sha256: null, open: 0 as const, tracks: '[]', gap_before: null, expired_at: null });
  const ids = ['a-b', 'a/b', 'ab', 'B', 'é', 'b', 'a_b', 'Z', '10', '9'];
  await db.insertInto('segments').values(ids.map((id) => row(id, 5e12))).execute();
  const rows = await db.selectFrom('segments').select(['id', 'epoch', 'start_ms']).orderBy('id').execute();
  expect(rows.map(({ id }) => id)).toEqual([...ids].sort());
  expect(rows[0]).toEqual({ id: '10', epoch: 1_750_000_000_000, start_ms: 1.25 });
  expect(await db.selectFrom('segments').select((e) => [e.fn.sum<number>('bytes').as('sum'), e.fn.countAll<number>().as('n')]).executeTakeFirst()).toEqual({ sum: 5e13, n: 10 });
  await db.destroy();
});

test('whoever holds a decision alone is waited for: counting and writing do not interleave', async () => {
  const db = await freshDatabase();
  const add = (): Promise<void> => db.transaction().execute(async (tx) => {
    await holdAlone(tx, 'test');
    const { n } = await tx.selectFrom('revoked_tokens').select((e) => e.fn.countAll<number>().as('n')).executeTakeFirstOrThrow();
    await tx.insertInto('revoked_tokens').values({ jti: `t${n}`, expires_at: n }).execute();
  });
  await Promise.all(Array.from({ length: 8 }, add));
  expect((await db.selectFrom('revoked_tokens').select('expires_at').orderBy('expires_at').execute()).map((row) => row.expires_at)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  await db.destroy();
});
