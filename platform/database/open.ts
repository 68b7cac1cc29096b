import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import BetterSqlite3 from 'better-sqlite3';
import { Kysely, SqliteDialect } from 'kysely';
import { Migrator } from 'kysely/migration';
import type { Migration } from 'kysely/migration';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../logging.ts';
import { firstLight } from './migrations/0001-first-light.ts';
import { bounded } from './migrations/0002-bounded.ts';
import { gapCause } from './migrations/0003-gap-cause.ts';
import { marksAndArchive } from './migrations/0004-marks-and-archive.ts';
import { markOrder } from './migrations/0005-mark-order.ts';
import { search } from './migrations/0006-search.ts';
import { analyses } from './migrations/0007-analyses.ts';
import { archive } from './migrations/0007-archive.ts';
import { exports } from './migrations/0008-exports.ts';
import { frames } from './migrations/0009-frames.ts';
import { foundSightings } from './migrations/0010-found-sightings.ts';
import { distribution } from './migrations/0011-distribution.ts';
import { events } from './migrations/0012-events.ts';
import { keptFindings } from './migrations/0013-kept-findings.ts';
import { webhooks } from './migrations/0014-webhooks.ts';
import { openRules } from './migrations/0015-open-rules.ts';
import { analysisSegment } from './migrations/0016-analysis-segment.ts';
import { describePostgres, isPostgresUrl, migrationDialect, postgresDialect, waitForPostgres } from './postgres.ts';
import type { Database } from './schema.ts';

/** In order of their names; Kysely records in the database which have run, and refuses a database newer than the program. */
const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '0001-first-light': firstLight,
  '0002-bounded': bounded,
  '0003-gap-cause': gapCause,
  '0004-marks-and-archive': marksAndArchive,
  '0005-mark-order': markOrder,
  '0006-search': search,
  '0007-analyses': analyses,
  '0007-archive': archive,
  '0008-exports': exports,
  '0009-frames': frames,
  '0010-found-sightings': foundSightings,
  '0011-distribution': distribution,
  '0012-events': events,
  '0013-kept-findings': keptFindings,
  '0014-webhooks': webhooks,
  '0015-open-rules': openRules,
  '0016-analysis-segment': analysisSegment,
};

export interface OpenOptions {
  readonly logger?: Logger;
  /** How long a PostgreSQL that does not answer is waited for; default: it is asked once. */
  readonly waitMs?: Milliseconds;
  readonly signal?: AbortSignal;
}

/**
 * Opens (and makes) the control process's database and brings its tables up to date: PostgreSQL for a `postgres://` URL, else SQLite in a
 * file of that path, `:memory:` for tests. The caller ends it with `destroy()`.
 *
 * Throws when the file is not a database, when the database is damaged or newer than this program; UNAVAILABLE or FAILED_PRECONDITION when
 * PostgreSQL does not answer or refuses.
 */
export const openDatabase = (place: string, options: OpenOptions = {}): Promise<Kysely<Database>> => (isPostgresUrl(place) ? openPostgres(place, options) : openSqlite(place));

/**
 * WAL with `synchronous = NORMAL`: a killed process loses no committed transaction; a power cut may lose the last ones, and then the
 * edge's journal, whose cursor was lost with them, sends their events again (D-10).
 */
const openSqlite = async (path: string): Promise<Kysely<Database>> => {
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
  try {
    await migrate(database, path);
  } catch (error) {
    // Kysely closes only what a query has used.
    await database.destroy();
    sqlite.close();
    throw error;
  }
  return database;
};

/** Of several processes that start at once one migrates, and the others wait for it: Kysely takes an advisory lock. */
const openPostgres = async (url: string, options: OpenOptions): Promise<Kysely<Database>> => {
  await waitForPostgres({ url, logger: options.logger, waitMs: options.waitMs ?? 0, signal: options.signal });
  const migrating = new Kysely<Database>({ dialect: migrationDialect(url) });
  try {
    await migrate(migrating, describePostgres(url));
  } finally {
    await migrating.destroy();
  }
  return new Kysely<Database>({ dialect: postgresDialect({ url, logger: options.logger }) });
};

const migrate = async (database: Kysely<Database>, name: string): Promise<void> => {
  const migrator = new Migrator({ db: database, provider: { getMigrations: () => Promise.resolve({ ...MIGRATIONS }) } });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) throw new Error(`the database ${name} cannot be brought up to date`, { cause: error });
};
