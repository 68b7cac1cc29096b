import { PostgresDialect } from 'kysely';
import type { Dialect, PostgresPool, PostgresPoolClient } from 'kysely';
import pg from 'pg';
import { sleep, systemClock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../logging.ts';
import { isConnectionFailure, isTimeout } from './failures.ts';

/** How long anything waits for the server: a connection, a statement on the server, an answer to it, a transaction nobody goes on with. */
const CONNECT_MS: Milliseconds = 5_000;
const STATEMENT_MS: Milliseconds = 15_000;
const ANSWER_MS: Milliseconds = 20_000;
const IDLE_TRANSACTION_MS: Milliseconds = 30_000;
/** Migrations build indexes, and wait for another process that does. */
const MIGRATION_MS: Milliseconds = 3_600_000;
/** Of one process; PostgreSQL takes 100 by default. */
const CONNECTIONS = 10;
const RETRY_MS: Milliseconds = 500;
const RETRY_AFTER_SECONDS = 2;

/** 8-byte integers and the sums of them as numbers: none of ours is beyond 2^53. */
const { INT8, NUMERIC } = pg.types.builtins;
type TypeId = Parameters<typeof pg.types.setTypeParser>[0];
const parserOf = (oid: TypeId): ((text: string) => unknown) => (oid === INT8 || oid === NUMERIC ? Number : (pg.types.getTypeParser(oid) as (text: string) => unknown));
const types = { getTypeParser: parserOf as typeof pg.types.getTypeParser };

export const isPostgresUrl = (place: string): boolean => /^postgres(ql)?:\/\//.test(place);

/** Host and database of a URL, for people: without user, password and parameters. */
export const describePostgres = (url: string): string => {
  const parsed = URL.parse(url);
  return parsed === null ? 'PostgreSQL' : `PostgreSQL ${parsed.host.replaceAll(/%2f/gi, '/')}${parsed.pathname}`;
};

export interface PostgresOptions {
  readonly url: string;
  readonly logger?: Logger | undefined;
  /** A server that is not there is waited for so long; 0: it is asked once. */
  readonly waitMs: Milliseconds;
  readonly signal?: AbortSignal | undefined;
}

const poolOf = (url: string, statementMs: Milliseconds, answerMs: Milliseconds, connections: number): pg.Pool => {
  const pool = new pg.Pool({
    connectionString: url, max: connections, connectionTimeoutMillis: CONNECT_MS, idleTimeoutMillis: 30_000, statement_timeout: statementMs, query_timeout: answerMs,
    idle_in_transaction_session_timeout: IDLE_TRANSACTION_MS, keepAlive: true, keepAliveInitialDelayMillis: 10_000, application_name: 'imageflow-edge', types,
  });
  // A connection that nobody uses was lost: the next query makes another.
  pool.on('error', () => undefined);
  return pool;
};

/** For the queries of a running process. A lost server is told once in the log, and once that it is back; queries meanwhile throw UNAVAILABLE. */
export const postgresDialect = (options: { readonly url: string; readonly logger: Logger | undefined }): Dialect =>
  new PostgresDialect({ pool: new WatchedPool(poolOf(options.url, STATEMENT_MS, ANSWER_MS, CONNECTIONS), options.url, options.logger) });

/** For migrations, which may take long, whatever the URL says of queries. */
export const migrationDialect = (url: string): Dialect => {
  const patient = new URL(url);
  for (const limit of ['statement_timeout', 'query_timeout']) patient.searchParams.delete(limit);
  return new PostgresDialect({ pool: new WatchedPool(poolOf(patient.href, MIGRATION_MS, MIGRATION_MS, 2), url, undefined) });
};

/**
 * Resolves when the server answers, and can keep what we give it. Throws UNAVAILABLE when it does not within `waitMs`, FAILED_PRECONDITION
 * when it refuses us: a wrong password, no such database, another encoding than UTF-8.
 */
export const waitForPostgres = async ({ url, logger, waitMs, signal }: PostgresOptions): Promise<void> => {
  const where = describePostgres(url);
  try {
    new pg.Client({ connectionString: url });
  } catch (error) {
    // A certificate that cannot be read, a parameter it does not know.
    throw new MediaError('FAILED_PRECONDITION', `${where} cannot be used: ${messageOf(error)}`, { cause: error });
  }
  const end = systemClock.monotonic() + waitMs;
  let told = false;
  for (;;) {
    signal?.throwIfAborted();
    const failure = await ask(url);
    if (failure === null) break;
    if (!isConnectionFailure(failure)) throw new MediaError('FAILED_PRECONDITION', `${where} cannot be used: ${messageOf(failure)}`, { cause: failure });
    if (systemClock.monotonic() >= end) {
      throw new MediaError('UNAVAILABLE', `${where} does not answer${waitMs === 0 ? '' : ` within ${waitMs / 1000} s`}: ${reasonOf(failure)}`, { cause: failure });
    }
    if (!told) logger?.warn({ database: where, reason: reasonOf(failure), waitSeconds: waitMs / 1000 }, 'the database does not answer, waiting for it');
    told = true;
    await sleep(RETRY_MS, signal);
  }
  if (told) logger?.info({ database: where }, 'the database answers');
};

/** Null: it answers as it should. */
const ask = async (url: string): Promise<unknown> => {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_MS, query_timeout: CONNECT_MS, application_name: 'imageflow-edge' });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ server_encoding: string }>('show server_encoding');
    const encoding = rows[0]?.server_encoding;
    return encoding === 'UTF8' ? null : new Error(`its encoding is ${encoding ?? 'unknown'}; make the database with "encoding 'UTF8'"`);
  } catch (error) {
    return error;
  } finally {
    await client.end().catch(() => undefined);
  }
};

/** Several addresses that all refuse say nothing in the message of their sum. */
const reasonOf = (error: unknown): string => (error instanceof AggregateError && error.message === '' ? error.errors.map(messageOf).join(', ') : messageOf(error));

/** Gives Kysely connections that throw our errors, and whose loss ends neither the process nor, once they are broken, the next query. */
class WatchedPool implements PostgresPool {
  readonly #pool: pg.Pool;
  readonly #where: string;
  readonly #logger: Logger | undefined;
  #lost = false;

  constructor(pool: pg.Pool, url: string, logger: Logger | undefined) {
    this.#pool = pool;
    this.#where = describePostgres(url);
    this.#logger = logger;
  }

  get options(): object { return this.#pool.options; }

  async connect(): Promise<PostgresPoolClient> {
    let client: pg.PoolClient;
    try {
      client = await this.#pool.connect();
    } catch (error) {
      throw this.#translate(error);
    }
    let broken = false;
    // Without a listener the loss of a connection between two queries of a transaction would end the process.
    const onError = (): void => { broken = true; };
    client.on('error', onError);
    const query = async (text: string, parameters: readonly unknown[]): Promise<unknown> => {
      try {
        const result = await client.query(text, [...parameters]);
        this.#answered();
        return result;
      } catch (error) {
        // An answer that is overdue may still come, as that of another query.
        broken ||= isConnectionFailure(error);
        throw this.#translate(error);
      }
    };
    return {
      query: query as PostgresPoolClient['query'],
      release: (destroy?: boolean) => {
        client.off('error', onError);
        client.release(broken || destroy === true);
      },
    };
  }

  async end(): Promise<void> {
    await this.#pool.end();
  }

  #answered(): void {
    if (!this.#lost) return;
    this.#lost = false;
    this.#logger?.info({ database: this.#where }, 'the database answers again');
  }

  #translate(error: unknown): unknown {
    if (isConnectionFailure(error)) {
      if (!this.#lost) this.#logger?.error({ database: this.#where, reason: reasonOf(error) }, 'the database does not answer');
      this.#lost = true;
      return new MediaError('UNAVAILABLE', 'The database does not answer.', { cause: error, reason: 'DATABASE_UNAVAILABLE', retryAfterSeconds: RETRY_AFTER_SECONDS });
    }
    if (isTimeout(error)) return new MediaError('DEADLINE_EXCEEDED', 'The database took too long.', { cause: error, reason: 'DATABASE_SLOW', retryAfterSeconds: RETRY_AFTER_SECONDS });
    return error;
  }
}
