import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import BetterSqlite3 from 'better-sqlite3';
import type { Milliseconds } from '../core/units.ts';

/**
 * Held by one process at a time, and gone with it however it ends: SQLite's own lock on an empty database at `path`. Waits, without
 * letting anything else run, at most `waitMs` for another holder. Returns null when the other one stays.
 */
export const lockExclusively = (path: string, waitMs: Milliseconds): Disposable | null => {
  mkdirSync(dirname(path), { recursive: true });
  const file = new BetterSqlite3(path, { timeout: waitMs });
  try {
    file.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    file.close();
    if (error instanceof BetterSqlite3.SqliteError && error.code.startsWith('SQLITE_BUSY')) return null;
    throw error;
  }
  return { [Symbol.dispose]: () => { file.close(); } };
};
