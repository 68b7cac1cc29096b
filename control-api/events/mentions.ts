import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Kysely } from 'kysely';
import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Database } from '../../platform/database/schema.ts';
import type { Logger } from '../../platform/logging.ts';
import type { Metrics } from '../../platform/metrics.ts';
import { CallBudget } from '../call-budget.ts';
import type { Outbox, NewEvent } from './outbox.ts';

/** One that waits to be written: what of it must be looked up first is asked for then, not while somebody waits for an answer. */
export interface Mention {
  readonly topic: NewEvent['topic'];
  /** User name: nobody fills a topic alone. */
  readonly by: string;
  /** The same again within ten minutes is not told: a player asks for one file in many pieces, a page asks for one list again and again. */
  readonly key: string;
  readonly event: () => NewEvent | Promise<NewEvent>;
}

const FLUSH_MS: Milliseconds = 500;
const MAX_WAITING = 1_000;
const MAX_REMEMBERED = 10_000;
/** A user's, so that a week of them leaves room for the events of changes. */
const MAX_PER_MINUTE = 10;
const REMEMBERED_MS: Milliseconds = 600_000;

/** What waits, and whether it has failed before. */
interface Waiting {
  readonly mention: Mention;
  readonly key: string;
  readonly again: boolean;
}

/** Events of what changes nothing: told once, written soon after in batches, and given up, counted, when the database does not keep up or refuses twice. */
export class Mentions implements AsyncDisposable {
  readonly #db: Kysely<Database>;
  readonly #outbox: Outbox;
  readonly #logger: Logger;
  readonly #dropped: Metrics['eventsDropped'];
  readonly #written: () => void;
  readonly #told: LRUCache<string, true>;
  readonly #timer: Disposable;
  readonly #budget: CallBudget;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | null = null;

  constructor(options: { readonly db: Kysely<Database>; readonly outbox: Outbox; readonly clock: Clock; readonly logger: Logger; readonly metrics: Pick<Metrics, 'eventsDropped'>; readonly written: () => void }) {
    this.#db = options.db;
    this.#outbox = options.outbox;
    this.#logger = options.logger;
    this.#dropped = options.metrics.eventsDropped;
    this.#written = options.written;
    this.#told = new LRUCache({ max: MAX_REMEMBERED, ttl: REMEMBERED_MS, ttlResolution: 0, perf: { now: () => options.clock.monotonic() + 1 } });
    this.#budget = new CallBudget(MAX_PER_MINUTE, options.clock);
    this.#timer = options.clock.every(FLUSH_MS, () => { this.#flush(); });
  }

  /** Never throws, never waits. */
  add(mention: Mention): void {
    const key = hash('sha256', mention.key, 'base64');
    if (this.#told.has(key)) return;
    if (this.#waiting.length >= MAX_WAITING) {
      this.#dropped.inc({ topic: mention.topic, reason: 'queue_full' });
      return;
    }
    try {
      this.#budget.spend(mention.by);
    } catch {
      this.#dropped.inc({ topic: mention.topic, reason: 'too_many' });
      return;
    }
    this.#told.set(key, true);
    this.#waiting.push({ mention, key, again: false });
  }

  /** Writes what waits. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer[Symbol.dispose]();
    await this.#writing;
    this.#flush();
    await this.#writing;
  }

  #flush(): void {
    if (this.#writing !== null || this.#waiting.length === 0) return;
    const batch = this.#waiting;
    this.#waiting = [];
    this.#writing = this.#write(batch).finally(() => { this.#writing = null; });
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    try {
      const events: NewEvent[] = [];
      for (const { mention } of batch) events.push(await mention.event()); // one after the other: requests need the connections, too
      await this.#db.transaction().execute((tx) => this.#outbox.append(tx, events));
      this.#written();
    } catch (error) {
      this.#logger.error({ error: messageOf(error), events: batch.length }, 'events not written');
      this.#putBack(batch);
    }
  }

  #putBack(batch: readonly Waiting[]): void {
    const room = MAX_WAITING - this.#waiting.length;
    const kept = new Set(batch.filter(({ again }) => !again).slice(0, room));
    for (const each of batch) {
      if (kept.has(each)) continue;
      this.#told.delete(each.key);
      this.#dropped.inc({ topic: each.mention.topic, reason: 'not_written' });
    }
    this.#waiting = [...[...kept].map((each) => ({ ...each, again: true })), ...this.#waiting];
  }
}
