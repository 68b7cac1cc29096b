import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import BetterSqlite3 from 'better-sqlite3';
import { Kysely, SqliteDialect } from 'kysely';
import { Migrator } from 'kysely/migration';
import type { Migration } from 'kysely/migration';
import { firstLight } from './migrations/0001-first-light.ts';
import { bounded } from './migrations/0002-bounded.ts';
import { gapCause } from './migrations/0003-gap-cause.ts';
import { marksAndArchive } from './migrations/0004-marks-and-archive.ts';
import { markOrder } from './migrations/0005-mark-order.ts';
import type { Database } from './schema.ts';

/** In order of their names; Kysely records in the database which have run, and refuses a database newer than the program. */
const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '0001-first-light': firstLight,
  '0002-bounded': bounded,
  '0003-gap-cause': gapCause,
  '0004-marks-and-archive': marksAndArchive,
  '0005-mark-order': markOrder,
};

/**
 * Opens (and makes) the control process's SQLite database and brings its tables up to date. `:memory:` for tests.
 * The caller ends it with `destroy()`. Throws when the file is not a database, is damaged or newer than this program.
 *
 * WAL with `synchronous = NORMAL`: a killed process loses no committed transaction; a power cut may lose the last ones, and then the
 * edge's journal, whose cursor was lost with them, sends their events again (D-10).
 */
export const openDatabase = async (path: string): Promise<Kysely<Database>> => {
  if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true });
  const sqlite = new BetterSqlite3(path);
  try {
    sqlite.pragma('journal_mode = WAL');
    sqlite.pragma('synchronous = NORMAL');
    sqlite.pragma('foreign_keys = ON');
    sqlite.pragma('busy_timeout = 5000');
    // Keep the write-ahead log from growing after a burst of detections (bytes).
    sqlite.pragma('journal_size_limit = 67108864');
  } catch (error) {
    sqlite.close();
    throw error;
  }
  const database = new Kysely<Database>({ dialect: new SqliteDialect({ database: sqlite }) });
  const migrator = new Migrator({ db: database, provider: { getMigrations: () => Promise.resolve({ ...MIGRATIONS }) } });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) {
    // Kysely closes only what a query has used.
    await database.destroy();
    sqlite.close();
    throw new Error(`the database ${path} cannot be brought up to date`, { cause: error });
  }
  return database;
};
