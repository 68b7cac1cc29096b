import type { Kysely } from 'kysely';
import { MediaError } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Database } from '../../platform/database/schema.ts';

/** The edge's alarm while it holds a deletion back; its time names the hold. */
const ALARM = 'recording/retention';
const CONFIRMED = 'retention.confirmed_hold';

export interface Hold {
  readonly since: Milliseconds;
  readonly message: string;
}

/** A run of retention that would delete more than half of everything waits for a word (REC-3); here it is asked for and given. */
export class RetentionHoldService {
  readonly #db: Kysely<Database>;
  readonly #listeners = new Set<() => Promise<void>>();

  constructor(db: Kysely<Database>) {
    this.#db = db;
  }

  /** What waits; undefined: nothing. */
  async hold(): Promise<Hold | undefined> {
    const row = await this.#db.selectFrom('alarms').select(['at', 'message']).where('id', '=', ALARM).where('raised', '=', 1).executeTakeFirst();
    return row && { since: row.at, message: row.message };
  }

  /** Lets the edge delete what it held back since `since`. Throws FAILED_PRECONDITION when that is not what waits: somebody may have looked at another. */
  async confirm(since: Milliseconds): Promise<void> {
    const hold = await this.hold();
    if (hold?.since !== since) throw new MediaError('FAILED_PRECONDITION', 'No deletion held back since then waits for confirmation; look again.', { reason: 'NOTHING_HELD' });
    const value = JSON.stringify(since);
    await this.#db.insertInto('settings').values({ key: CONFIRMED, value }).onConflict((conflict) => conflict.column('key').doUpdateSet({ value })).execute();
    for (const listener of this.#listeners) await listener();
  }

  /** The hold that was confirmed last, by its `since`. */
  async confirmed(): Promise<Milliseconds | undefined> {
    const row = await this.#db.selectFrom('settings').select('value').where('key', '=', CONFIRMED).executeTakeFirst();
    return row === undefined ? undefined : (JSON.parse(row.value) as number);
  }

  /** Called after each confirmation, before its caller is answered. */
  onChange(listener: () => Promise<void>): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => { this.#listeners.delete(listener); } };
  }
}
