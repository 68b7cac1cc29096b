import { randomBytes } from 'node:crypto';
import type { Kysely } from 'kysely';
import { openDatabase } from '../database/open.ts';
import type { Database } from '../database/schema.ts';
import { runOn } from './postgres-cluster.ts';

/** The URL of a PostgreSQL where databases may be made; set in the test project `postgres`, whose tests are those of SQLite. */
const server = (): string | undefined => process.env['TEST_POSTGRES_URL'];

/** Where an empty database of a test is: in `sqlitePath`, or, in the test project `postgres`, on that server. */
export const freshPlace = async (sqlitePath = ':memory:'): Promise<string> => {
  const admin = server();
  if (admin === undefined) return sqlitePath;
  const name = `fresh_${randomBytes(6).toString('hex')}`;
  await runOn(admin, `create database ${name}`);
  return admin.replace(/[^/]*$/, name);
};

/** A database of a test's own, with all tables; gone with `destroy()`. */
export const freshDatabase = async (sqlitePath?: string): Promise<Kysely<Database>> => {
  const place = await freshPlace(sqlitePath);
  const db = await openDatabase(place);
  const admin = server();
  if (admin === undefined) return db;
  const destroy = db.destroy.bind(db);
  db.destroy = async () => {
    await destroy();
    await runOn(admin, `drop database if exists ${place.slice(place.lastIndexOf('/') + 1)} with (force)`);
  };
  return db;
};
