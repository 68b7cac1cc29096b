import type { Kysely, Selectable } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import { dialectOf } from '../../platform/database/dialect.ts';
import type { Database, ExportsTable } from '../../platform/database/schema.ts';
import { DEAD_AFTER } from '../job-worker.ts';
import type { JobQueue } from '../job-worker.ts';

export type ExportRow = Selectable<ExportsTable>;

export interface ExportFilter {
  readonly camera?: string | undefined;
  readonly state?: ExportRow['state'] | undefined;
}

/** What is known of a job under way. */
export type Advance = Partial<Pick<ExportRow, 'progress' | 'pictures' | 'undecodable' | 'missing_segments' | 'boxes' | 'bytes'>>;

const OPEN = ['queued', 'running'] as const;

export class ExportStore implements JobQueue<ExportRow> {
  readonly #db: Kysely<Database>;
  constructor(db: Kysely<Database>) { this.#db = db; }

  /** Adds a job unless `most` wait or run; whether it did. */
  insert(row: ExportRow, most: number): Promise<boolean> {
    return this.#db.transaction().execute(async (tx) => {
      const { n } = await tx.selectFrom('exports').select((e) => e.fn.countAll().as('n')).where('state', 'in', OPEN).executeTakeFirstOrThrow();
      if (Number(n) >= most) return false;
      await tx.insertInto('exports').values(row).execute();
      return true;
    });
  }

  get(id: string): Promise<ExportRow | undefined> {
    return this.#db.selectFrom('exports').selectAll().where('id', '=', id).executeTakeFirst();
  }

  /** Newest first. */
  list({ camera, state }: ExportFilter, before: readonly [number, string] | undefined, limit: number): Promise<ExportRow[]> {
    let query = this.#db.selectFrom('exports').selectAll().orderBy('created_at', 'desc').orderBy('id', 'desc').limit(limit);
    if (camera !== undefined) query = query.where('camera_id', '=', camera);
    if (state !== undefined) query = query.where('state', '=', state);
    if (before !== undefined) query = query.where((e) => e.or([e('created_at', '<', before[0]), e.and([e('created_at', '=', before[0]), e('id', '<', before[1])])]));
    return query.execute();
  }

  claim(now: Milliseconds): Promise<ExportRow | undefined> {
    return this.#db.transaction().execute(async (tx) => {
      const next = await tx.selectFrom('exports').selectAll()
        .where((e) => e.or([e('state', '=', 'queued'), e.and([e('state', '=', 'running'), e('heartbeat_at', '<', Math.floor(now - DEAD_AFTER))])]))
        .orderBy('created_at').orderBy('id').limit(1).$if(dialectOf(tx).shared, (query) => query.forUpdate().skipLocked()).executeTakeFirst();
      if (next === undefined) return undefined;
      await tx.updateTable('exports').set({ state: 'running', progress: 0, heartbeat_at: Math.floor(now) }).where('id', '=', next.id).execute();
      return { ...next, state: 'running' as const };
    });
  }

  async release(id: string): Promise<void> {
    await this.#db.updateTable('exports').set({ state: 'queued', progress: 0, heartbeat_at: null }).where('id', '=', id).where('state', '=', 'running').execute();
  }

  async beat(id: string, now: Milliseconds): Promise<boolean> {
    return await this.advance(id, {}, now);
  }

  /** Notes how far it is. False when it was cancelled meanwhile. */
  async advance(id: string, so: Advance, now: Milliseconds): Promise<boolean> {
    const result = await this.#db.updateTable('exports').set({ ...so, heartbeat_at: Math.floor(now) }).where('id', '=', id).where('state', '=', 'running').executeTakeFirst();
    return result.numUpdatedRows > 0n;
  }

  async end(id: string, state: 'done' | 'failed' | 'cancelled', error: string | null, now: Milliseconds): Promise<boolean> {
    const result = await this.#db.updateTable('exports').set({ state, error, heartbeat_at: null, finished_at: Math.floor(now), ...(state === 'done' ? { progress: 1 } : {}) })
      .where('id', '=', id).where('state', 'in', OPEN).executeTakeFirst();
    return result.numUpdatedRows > 0n;
  }

  /** Forgets a job that has ended. False when it waits or runs, or is not there. */
  async delete(id: string): Promise<boolean> {
    const result = await this.#db.deleteFrom('exports').where('id', '=', id).where('state', 'not in', OPEN).executeTakeFirst();
    return result.numDeletedRows > 0n;
  }

  /** Those that ended before `cutoff`, the oldest first. */
  async ended(cutoff: Milliseconds, limit: number): Promise<string[]> {
    const rows = await this.#db.selectFrom('exports').select('id').where('finished_at', '<', Math.floor(cutoff)).orderBy('finished_at').limit(limit).execute();
    return rows.map(({ id }) => id);
  }

  /** Those with a file, the newest first. */
  files(): Promise<Pick<ExportRow, 'id' | 'bytes'>[]> {
    return this.#db.selectFrom('exports').select(['id', 'bytes']).where('state', '=', 'done').orderBy('finished_at', 'desc').orderBy('id').execute();
  }

  /** Whether a job is in one of these states. */
  async is(id: string, states: readonly ExportRow['state'][]): Promise<boolean> {
    return (await this.#db.selectFrom('exports').select('id').where('id', '=', id).where('state', 'in', states).executeTakeFirst()) !== undefined;
  }
}
