/** A PostgreSQL of its own for tests, in a temporary folder, reached by its Unix socket alone. */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { sleep, systemClock } from '../../core/clock.ts';

const START_MS = 60_000;
const RETRY_MS = 50;

/** Debian keeps the server's programs out of the path. */
const binaries = (): string => {
  const root = '/usr/lib/postgresql';
  const newest = existsSync(root) ? readdirSync(root).filter((version) => existsSync(join(root, version, 'bin', 'initdb'))).sort((a, b) => Number(b) - Number(a))[0] : undefined;
  if (newest === undefined) throw new Error('PostgreSQL is missing: node test/tools.ts installs it');
  return join(root, newest, 'bin');
};

interface Identity {
  readonly uid?: number;
  readonly gid?: number;
}

/** PostgreSQL refuses to run as root; nobody else needs another user. */
const user = (): Identity => {
  if (process.getuid?.() !== 0) return {};
  const id = (flag: string): number => Number(spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' }).stdout.trim() || Number.NaN);
  const found = { uid: id('-u'), gid: id('-g') };
  if (Number.isNaN(found.uid)) throw new Error('there is no user postgres, and as root PostgreSQL does not run: node test/tools.ts installs it');
  return found;
};

export class PostgresCluster implements AsyncDisposable {
  readonly #directory: string;
  readonly #as: Identity;
  #server: ChildProcess | null = null;
  #databases = 0;

  private constructor(directory: string, as: Identity) {
    this.#directory = directory;
    this.#as = as;
  }

  /** Makes an empty cluster and starts it. Throws when PostgreSQL is not installed or does not start. */
  static async start(): Promise<PostgresCluster> {
    const as = user();
    const directory = mkdtempSync(join(tmpdir(), 'if-pg-'));
    if (as.uid !== undefined && as.gid !== undefined) chownSync(directory, as.uid, as.gid);
    const cluster = new PostgresCluster(directory, as);
    const made = spawnSync(join(binaries(), 'initdb'), ['-D', cluster.#data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'], { ...as, cwd: directory, encoding: 'utf8' });
    if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`);
    await cluster.resume();
    return cluster;
  }

  /** Of a database of this cluster; `postgres` is always there. */
  url(database = 'postgres'): string {
    return `postgres://postgres@${encodeURIComponent(this.#directory)}/${database}`;
  }

  /** An empty database; resolves with its URL. */
  async createDatabase(): Promise<string> {
    const name = `test_${process.pid}_${++this.#databases}`;
    await runOn(this.url(), `create database ${name}`);
    return this.url(name);
  }

  /** Starts the server again after `stop`; resolves when it answers. */
  async resume(): Promise<void> {
    const server = spawn(join(binaries(), 'postgres'), [
      '-D', this.#data, '-k', this.#directory, '-c', 'listen_addresses=', '-c', 'fsync=off', '-c', 'full_page_writes=off', '-c', 'max_connections=200', '-c', 'autovacuum=off',
    ], { ...this.#as, cwd: this.#directory, stdio: ['ignore', 'ignore', 'pipe'] });
    this.#server = server;
    let log = '';
    server.stderr.setEncoding('utf8').on('data', (text: string) => { log = (log + text).slice(-4000); });
    for (const end = systemClock.monotonic() + START_MS;;) {
      try {
        await runOn(this.url(), 'select 1');
        return;
      } catch (error) {
        if (server.exitCode !== null || systemClock.monotonic() > end) throw new Error(`PostgreSQL does not start: ${log}`, { cause: error });
        await sleep(RETRY_MS);
      }
    }
  }

  /** Ends the server as a crash would, connections and all. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null || server.exitCode !== null || server.signalCode !== null) return;
    const exited = once(server, 'exit');
    server.kill('SIGQUIT'); // immediate shutdown
    await exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  get #data(): string { return join(this.#directory, 'data'); }
}

/** One statement on a connection of its own. */
export const runOn = async (url: string, statement: string): Promise<void> => {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query(statement);
  } finally {
    await client.end().catch(() => undefined);
  }
};
