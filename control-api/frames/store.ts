import type { Kysely, Selectable, Transaction } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import type { Database, FramesTable } from '../../platform/database/schema.ts';

export type FrameRow = Selectable<FramesTable>;

export interface FrameFilter {
  readonly cameras?: readonly string[] | undefined;
  readonly from?: Milliseconds | undefined;
  readonly to?: Milliseconds | undefined;
  readonly state?: FrameRow['state'] | undefined;
}

/** What is known of a picture once its JPEG is on the disk. */
export type MadeFrame = Pick<FrameRow, 'width' | 'height' | 'bytes' | 'sha256'>;

export class FrameStore {
  readonly #db: Kysely<Database>;
  constructor(db: Kysely<Database>) { this.#db = db; }

  /** A picture that is listed already stays as it is. */
  async insert(rows: readonly FrameRow[]): Promise<void> {
    if (rows.length > 0) await this.#db.insertInto('frames').values([...rows]).onConflict((c) => c.column('id').doNothing()).execute();
  }

  get(id: string): Promise<FrameRow | undefined> {
    return this.#db.selectFrom('frames').selectAll().where('id', '=', id).executeTakeFirst();
  }

  /** Newest first. */
  list({ cameras, from, to, state }: FrameFilter, before: readonly [number, string] | undefined, limit: number): Promise<FrameRow[]> {
    let query = this.#db.selectFrom('frames').selectAll().orderBy('captured_at_ms', 'desc').orderBy('id', 'desc').limit(limit);
    if (cameras !== undefined) query = query.where('camera_id', 'in', [...cameras]);
    if (from !== undefined) query = query.where('captured_at_ms', '>=', from);
    if (to !== undefined) query = query.where('captured_at_ms', '<', to);
    if (state !== undefined) query = query.where('state', '=', state);
    if (before !== undefined) {
      const [at, id] = before;
      query = query.where('captured_at_ms', '<=', at).where((e) => e.or([e('captured_at_ms', '<', at), e('id', '<', id)]));
    }
    return query.execute();
  }

  /** Those that are not in the object store yet and were captured before `until`, oldest first, behind `after`. */
  open(until: Milliseconds, after: readonly [number, string], limit: number): Promise<FrameRow[]> {
    const [at, id] = after;
    return this.#db.selectFrom('frames').selectAll().where('state', 'in', ['waiting', 'made']).where('captured_at_ms', '<', until)
      .where('captured_at_ms', '>=', at).where((e) => e.or([e('captured_at_ms', '>', at), e('id', '>', id)]))
      .orderBy('captured_at_ms').orderBy('id').limit(limit).execute();
  }

  async countOpen(): Promise<number> {
    const { n } = await this.#db.selectFrom('frames').select((e) => e.fn.countAll().as('n')).where('state', 'in', ['waiting', 'made']).executeTakeFirstOrThrow();
    return Number(n);
  }

  async setMade(id: string, made: MadeFrame): Promise<void> {
    await this.#db.updateTable('frames').set({ ...made, state: 'made' }).where('id', '=', id).where('state', '=', 'waiting').execute();
  }

  /** Its JPEG has gone from the disk, or somebody wants it once more: it is to be made again. */
  async setWaiting(id: string): Promise<void> {
    await this.#db.updateTable('frames').set({ state: 'waiting', error: null }).where('id', '=', id).where('state', 'in', ['made', 'failed']).execute();
  }

  /** `tell` writes what belongs to that into the same transaction; not again for one that is stored already. */
  async setStored(id: string, now: Milliseconds, tell: (tx: Transaction<Database>, stored: FrameRow) => Promise<void>): Promise<void> {
    await this.#db.transaction().execute(async (tx) => {
      const stored = await tx.updateTable('frames').set({ state: 'stored', stored_at: Math.floor(now), error: null }).where('id', '=', id).where('state', '!=', 'stored').returningAll().executeTakeFirst();
      if (stored !== undefined) await tell(tx, stored);
    });
  }

  async setFailed(id: string, error: string): Promise<void> {
    await this.#db.updateTable('frames').set({ state: 'failed', error }).where('id', '=', id).where('state', 'in', ['waiting', 'made']).execute();
  }

  /** Stored or failed ones captured before `cutoff`, oldest first, behind `after`. */
  past(cutoff: Milliseconds, [at, id]: readonly [number, string], limit: number): Promise<FrameRow[]> {
    return this.#db.selectFrom('frames').selectAll().where('state', 'in', ['stored', 'failed']).where('captured_at_ms', '<', cutoff)
      .where('captured_at_ms', '>=', at).where((e) => e.or([e('captured_at_ms', '>', at), e('id', '>', id)])).orderBy('captured_at_ms').orderBy('id').limit(limit).execute();
  }

  async remove(id: string): Promise<void> {
    await this.#db.deleteFrom('frames').where('id', '=', id).execute();
  }
}
