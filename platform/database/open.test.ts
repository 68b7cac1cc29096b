import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sql } from 'kysely';
import { openDatabase } from './open.ts';

let folder: string;
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'if-db-')); });
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });

test('a new database has every table, in WAL mode, and opens again with its rows', async () => {
  const path = join(folder, 'deep', 'imageflow.db');
  const first = await openDatabase(path);
  const mode = await sql<{ journal_mode: string }>`pragma journal_mode`.execute(first);
  expect(mode.rows[0]?.journal_mode).toBe('wal');
  await first.insertInto('cameras').values({ id: 'line-1', name: 'Line 1', source: '{"type":"push"}', pipelines: '["detect"]', recording: '{}', created_at: 1, updated_at: 1, deleted_at: null, extra: '{}' }).execute();
  await first.insertInto('edges').values({ journal_id: 'j', edge_id: 'e', last_seq: 7, media_base_url: 'http://x', seen_at: 1 }).execute();
  await first.destroy();
  const second = await openDatabase(path);
  expect((await second.selectFrom('cameras').select('id').execute()).map((row) => row.id)).toEqual(['line-1']);
  expect((await second.selectFrom('edges').selectAll().executeTakeFirst())?.last_seq).toBe(7);
  await second.destroy();
});

test('a file that is no database is refused', async () => {
  const path = join(folder, 'not.db');
  writeFileSync(path, 'this is a text file that is long enough to be read as a database header, and is none');
  await expect(openDatabase(path)).rejects.toThrow(/not a database/);
});
