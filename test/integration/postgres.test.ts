/** A PostgreSQL that comes late, goes, hangs, refuses, and comes back; and several processes that open it at once. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { sql } from 'kysely';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { doctorCommand } from '../../cli/doctor.ts';
import type { CliIo } from '../../cli/io.ts';
import { userCommand } from '../../cli/user.ts';
import { openDatabase } from '../../platform/database/open.ts';
import { PostgresCluster, runOn } from '../../platform/testing/postgres-cluster.ts';
import { FreezingProxy } from '../support/freezing-proxy.ts';

let cluster: PostgresCluster;
beforeAll(async () => { cluster = await PostgresCluster.start(); });
afterAll(async () => { await cluster[Symbol.asyncDispose](); });

const logging = () => {
  const lines: string[] = [];
  const logger = pino({ level: 'info' }, { write: (line) => { lines.push((JSON.parse(line) as { msg: string }).msg); } });
  return { logger, messages: () => [...lines] };
};

test('processes that open a new database at once all find it complete, and migrated once', async () => {
  const url = await cluster.createDatabase();
  const opened = await Promise.all(Array.from({ length: 5 }, () => openDatabase(url)));
  const { rows } = await sql<{ name: string; n: number }>`select name, count(*) as n from kysely_migration group by name order by name`.execute(opened[0] as never);
  expect(rows.length).toBeGreaterThanOrEqual(5);
  expect(rows.every(({ n }) => n === 1)).toBe(true);
  for (const db of opened) {
    expect(await db.selectFrom('users').selectAll().execute()).toEqual([]);
    await db.destroy();
  }
});

test('a server that is not there yet is waited for, which is told once', async () => {
  const url = await cluster.createDatabase();
  await cluster.stop();
  const { logger, messages } = logging();
  const opening = openDatabase(url, { logger, waitMs: 60_000 });
  await expect.poll(messages, { timeout: 20_000 }).toEqual(['the database does not answer, waiting for it']);
  await cluster.resume();
  const db = await opening;
  expect(messages()).toEqual(['the database does not answer, waiting for it', 'the database answers']);
  await db.destroy();
});

test('a server that does not come is given up in words, without its password; whoever is told to stop waits no longer', async () => {
  const url = 'postgres://box:secret@127.0.0.1:1/cameras';
  await expect(openDatabase(url)).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringMatching(/^PostgreSQL 127\.0\.0\.1:1\/cameras does not answer: (?!.*secret)/) as string });
  const stop = new AbortController();
  const opening = openDatabase(url, { waitMs: 600_000, signal: stop.signal });
  stop.abort();
  await expect(opening).rejects.toThrow(/abort/i);
});

test('a server that refuses is not asked again: no such database, another encoding', async () => {
  await expect(openDatabase(cluster.url('nowhere'), { waitMs: 600_000 })).rejects.toMatchObject({ code: 'FAILED_PRECONDITION', message: expect.stringContaining('"nowhere" does not exist') as string });
  await runOn(cluster.url(), `create database latin encoding 'SQL_ASCII' template template0`);
  await expect(openDatabase(cluster.url('latin'), { waitMs: 600_000 })).rejects.toMatchObject({ code: 'FAILED_PRECONDITION', message: expect.stringContaining('its encoding is SQL_ASCII') as string });
});

test('a certificate that cannot be read is told at once', async () => {
  await expect(openDatabase('postgres://box:secret@127.0.0.1:1/cameras?sslmode=verify-full&sslrootcert=/nowhere/root.crt', { waitMs: 600_000 })).rejects.toMatchObject({
    code: 'FAILED_PRECONDITION', message: expect.stringMatching(/^PostgreSQL 127\.0\.0\.1:1\/cameras cannot be used: (?!.*secret).*\/nowhere\/root\.crt/) as string,
  });
});

test('the command line works on it: users, and doctor tells whether it answers', async () => {
  const url = await cluster.createDatabase();
  const folder = await mkdtemp(join(tmpdir(), 'if-pg-cli-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const run = async (make: (io: CliIo) => Command, args: readonly string[], database: string): Promise<string> => {
    const lines: string[] = [];
    const io: CliIo = {
      env: { IMAGEFLOW_DATA_DIR: folder, IMAGEFLOW_DATABASE_URL: database, IMAGEFLOW_HTTP_PORT: '0', IMAGEFLOW_EDGE_HTTP_PORT: '0', IMAGEFLOW_RTSP_PORT: '0', IMAGEFLOW_GRPC_PORT: '0', IMAGEFLOW_WEBRTC_PORT: '0' },
      out: (line) => { lines.push(line); }, err: (line) => { lines.push(line); }, progress: () => undefined, secret: () => Promise.resolve('long enough'), fail: () => { lines.push('failed'); },
    };
    await make(io).exitOverride().parseAsync([...args], { from: 'user' });
    return lines.join('\n');
  };
  expect(await run(userCommand, ['add', 'olga', '--role', 'operator'], url)).toBe('olga added');
  expect(await run(userCommand, ['list'], url)).toBe('olga\toperator\tenabled');
  expect(await run(doctorCommand, [], url)).toContain('ok    database.url: PostgreSQL ');
  const nobody = 'postgres://box:secret@127.0.0.1:1/cameras';
  expect(await run(userCommand, ['list'], nobody)).toMatch(/^PostgreSQL 127\.0\.0\.1:1\/cameras does not answer: (?!.*secret).*\nfailed$/);
  expect(await run(doctorCommand, [], nobody)).toMatch(/FAIL {2}database\.url: PostgreSQL 127\.0\.0\.1:1\/cameras does not answer/);
});

test('a server that crashes costs its queries and transactions, not the process; when it is back, all goes on, each told once', async () => {
  const { logger, messages } = logging();
  const db = await openDatabase(await cluster.createDatabase(), { logger });
  const add = (jti: string) => db.insertInto('revoked_tokens').values({ jti, expires_at: 1 }).execute();
  await add('before');
  const started = Promise.withResolvers<undefined>();
  const goOn = Promise.withResolvers<undefined>();
  const transaction = db.transaction().execute(async (tx) => {
    await tx.insertInto('revoked_tokens').values({ jti: 'lost', expires_at: 1 }).execute();
    started.resolve(undefined);
    await goOn.promise;
    await tx.insertInto('revoked_tokens').values({ jti: 'lost, too', expires_at: 1 }).execute();
  });
  transaction.catch(() => undefined);
  await started.promise;
  await cluster.stop();
  for (let i = 0; i < 3; i++) await expect(add(`down-${i}`)).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'DATABASE_UNAVAILABLE' });
  goOn.resolve(undefined);
  await expect(transaction).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await cluster.resume();
  await add('after');
  expect((await db.selectFrom('revoked_tokens').select('jti').orderBy('jti').execute()).map(({ jti }) => jti)).toEqual(['after', 'before']);
  expect(messages()).toEqual(['the database does not answer', 'the database answers again']);
  await db.destroy();
});

test('a network that passes nothing on costs a query its deadline, and no later query is given the answer of an earlier one', async () => {
  const url = new URL(await cluster.createDatabase());
  await using proxy = await FreezingProxy.start(`${decodeURIComponent(url.hostname)}/.s.PGSQL.5432`);
  const db = await openDatabase(`postgres://postgres@127.0.0.1:${proxy.port}${url.pathname}?query_timeout=3000`);
  const ask = async (n: number): Promise<unknown> => (await sql<{ n: number }>`select ${n}::int8 as n`.execute(db)).rows[0]?.n;
  expect(await ask(1)).toBe(1);
  proxy.freeze();
  await expect(ask(2)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  proxy.thaw();
  await expect.poll(() => ask(3), { timeout: 20_000 }).toBe(3);
  expect(await Promise.all([4, 5, 6].map(ask))).toEqual([4, 5, 6]);
  await db.destroy();
});

test('a statement that takes too long is ended on the server', async () => {
  const db = await openDatabase(`${await cluster.createDatabase()}?statement_timeout=1000`);
  await expect(sql`select pg_sleep(60)`.execute(db)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', reason: 'DATABASE_SLOW' });
  await db.destroy();
});

test('more queries at once than there are connections wait for each other', async () => {
  const db = await openDatabase(await cluster.createDatabase());
  const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => sql<{ n: number }>`select ${i}::int8 as n, pg_sleep(0.01)`.execute(db)));
  expect(answers.map(({ rows }) => rows[0]?.n)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  const { rows } = await sql<{ n: number }>`select count(*) as n from pg_stat_activity where datname = current_database()`.execute(db);
  expect(rows[0]?.n).toBeLessThanOrEqual(10);
  await db.destroy();
});
