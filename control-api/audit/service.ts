import type { Insertable, Kysely } from 'kysely';
import type { Clock } from '../../core/clock.ts';
import { isUnavailable } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { AuditTable, Database } from '../../platform/database/schema.ts';
import type { Logger } from '../../platform/logging.ts';
import { KEEP, SWEEP_ROWS } from '../retention.ts';
import { AuditStore } from './store.ts';

/** Different entries waiting to be written; more are counted into the last one of their kind or, when new, into one `audit:overflow`. */
const MAX_WAITING = 5_000;
const FLUSH_MS = 200;
/** After a database that did not answer. */
const RETRY_MS = 1_000;
const ROWS_PER_STATEMENT = 500;

interface Entry {
  readonly at: number;
  readonly principal: string | null;
  readonly action: string;
  readonly target: string | null;
  readonly result: 'ok' | 'denied';
  readonly detail: Readonly<Record<string, unknown>>;
  count: number;
}

/**
 * The audit log (spec 2.4): every denial and every administrative change. Entries are written in batches, and equal ones within a batch
 * become one row with a count, so that a flood of denials costs the database little and loses none.
 */
export class AuditService implements AsyncDisposable {
  readonly #store: AuditStore;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #maxRows: number;
  #waiting = new Map<string, Entry>();
  #timer: Disposable | null = null;
  #disposed = false;
  /** A write will take what waits by then. */
  #queued = false;
  #writing: Promise<void> = Promise.resolve();
  /** Rows written since the log was last trimmed. */
  #untrimmed = 0;

  /** `maxRows`: for tests. */
  constructor(db: Kysely<Database>, clock: Clock, logger: Logger, maxRows: number = KEEP.auditRows) {
    this.#maxRows = maxRows;
    this.#store = new AuditStore(db);
    this.#clock = clock;
    this.#logger = logger;
  }

  /** An administrative change, or a log-in. Never throws, never waits. */
  record(entry: { readonly principal: string | null; readonly action: string; readonly target: string | null; readonly detail?: Readonly<Record<string, unknown>> }): void {
    this.#add({ principal: entry.principal, action: entry.action, target: entry.target, result: 'ok', detail: entry.detail ?? {} });
  }

  /** A denial. Never throws, never waits. */
  denied(denial: { readonly principal: string | null; readonly address: string; readonly action: string; readonly target: string; readonly reason: string }): void {
    this.#add({ principal: denial.principal, action: denial.action, target: denial.target.slice(0, 200), result: 'denied', detail: { address: denial.address, reason: denial.reason } });
  }

  #add(entry: Omit<Entry, 'at' | 'count'>): void {
    this.#put({ ...entry, at: this.#clock.now(), count: 1 });
    this.#timer ??= this.#clock.after(FLUSH_MS, () => { void this.flush(); });
  }

  #put(entry: Entry): void {
    let key = JSON.stringify([entry.principal, entry.action, entry.target, entry.result, entry.detail]);
    let kept = entry;
    if (this.#waiting.size >= MAX_WAITING && !this.#waiting.has(key)) {
      key = 'overflow';
      kept = { ...entry, principal: null, action: 'audit:overflow', target: null, detail: {} };
    }
    const known = this.#waiting.get(key);
    if (known === undefined) this.#waiting.set(key, kept);
    else known.count += entry.count;
  }

  /** Writes what waits. */
  flush(): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    // What comes while the database is slow waits in the one place that has a limit.
    if (!this.#queued) {
      this.#queued = true;
      this.#writing = this.#writing.then(() => {
        this.#queued = false;
        return this.#write(this.#takeWaiting());
      });
    }
    return this.#writing;
  }

  #takeWaiting(): readonly Entry[] {
    const entries = [...this.#waiting.values()];
    this.#waiting = new Map();
    return entries;
  }

  async #write(entries: readonly Entry[]): Promise<void> {
    const toRows = (some: readonly Entry[]) => some.map(({ at, principal, action, target, result, detail, count }): Insertable<AuditTable> => ({
      at, principal, action, target, result, detail: JSON.stringify(count === 1 ? detail : { ...detail, count }),
    }));
    let start = 0;
    try {
      for (; start < entries.length; start += ROWS_PER_STATEMENT) await this.#store.insert(toRows(entries.slice(start, start + ROWS_PER_STATEMENT)));
      await this.#trim(entries.length);
    } catch (error) {
      const left = entries.slice(start);
      if (left.length > 0 && isUnavailable(error) && !this.#disposed) this.#putBack(left);
      else this.#logger.error({ err: error, entries: left.length }, 'audit entries lost');
    }
  }

  /** The database does not answer: they wait with those that came meanwhile, as many as there is room for. */
  #putBack(entries: readonly Entry[]): void {
    for (const entry of [...entries, ...this.#takeWaiting()]) this.#put(entry);
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#clock.after(RETRY_MS, () => { void this.flush(); });
  }

  /** Not left to the sweep: a flood of denials would fill the disk before it comes round. */
  async #trim(written: number): Promise<void> {
    this.#untrimmed += written;
    if (this.#untrimmed < SWEEP_ROWS) return;
    this.#untrimmed = 0;
    while ((await this.#store.trim(this.#maxRows, SWEEP_ROWS)) === SWEEP_ROWS);
  }

  /** Forgets at most `limit` entries from before `cutoff`; how many. */
  deleteBefore(cutoff: Milliseconds, limit: number): Promise<number> {
    return this.#store.deleteBefore(cutoff, limit);
  }

  /** Forgets at most `limit` of the entries that are too many; how many. */
  deleteExcess(limit: number): Promise<number> {
    return this.#store.trim(this.#maxRows, limit);
  }

  async list(filter: Parameters<AuditStore['list']>[0]) {
    await this.flush();
    return this.#store.list(filter);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    await this.flush();
  }
}
