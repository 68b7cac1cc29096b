import type { Insertable, Kysely, Selectable, Updateable } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import { dialectOf } from '../../platform/database/dialect.ts';
import type { CameraKeysTable, CamerasTable, Database, SessionsTable } from '../../platform/database/schema.ts';

export type CameraRow = Selectable<CamerasTable>;
export type KeyRow = Selectable<CameraKeysTable>;
export type SessionRow = Selectable<SessionsTable>;

export class CameraStore {
  readonly #db: Kysely<Database>;
  constructor(db: Kysely<Database>) { this.#db = db; }

  list(after: string | undefined, limit: number): Promise<CameraRow[]> {
    let query = this.#db.selectFrom('cameras').selectAll().where('deleted_at', 'is', null).orderBy('id').limit(limit);
    if (after !== undefined) query = query.where('id', '>', after);
    return query.execute();
  }

  all(): Promise<CameraRow[]> {
    return this.#db.selectFrom('cameras').selectAll().where('deleted_at', 'is', null).orderBy('id').execute();
  }

  get(id: string): Promise<CameraRow | undefined> {
    return this.#db.selectFrom('cameras').selectAll().where('id', '=', id).where('deleted_at', 'is', null).executeTakeFirst();
  }

  /** With its first key; a deleted camera of the same id makes room. False when there is one. */
  insert(camera: Insertable<CamerasTable>, key: Insertable<CameraKeysTable>): Promise<boolean> {
    return this.#db.transaction().execute(async (tx) => {
      await tx.deleteFrom('cameras').where('id', '=', camera.id).where('deleted_at', 'is not', null).execute();
      const result = await tx.insertInto('cameras').values(camera).onConflict((conflict) => conflict.column('id').doNothing()).executeTakeFirst();
      if (result.numInsertedOrUpdatedRows !== 1n) return false;
      await tx.insertInto('camera_keys').values(key).execute();
      return true;
    });
  }

  /** False when there is none. */
  async update(id: string, change: Updateable<CamerasTable>): Promise<boolean> {
    const result = await this.#db.updateTable('cameras').set(change).where('id', '=', id).where('deleted_at', 'is', null).executeTakeFirst();
    return result.numUpdatedRows === 1n;
  }

  /** Sets what `change` makes of the camera as it is by then: two changes of different settings at once are both kept. False when there is none. */
  change(id: string, change: (row: CameraRow) => Updateable<CamerasTable>): Promise<boolean> {
    return this.#db.transaction().execute(async (tx) => {
      const row = await tx.selectFrom('cameras').selectAll().where('id', '=', id).where('deleted_at', 'is', null).$if(dialectOf(tx).shared, (query) => query.forUpdate()).executeTakeFirst();
      if (row === undefined) return false;
      await tx.updateTable('cameras').set(change(row)).where('id', '=', id).execute();
      return true;
    });
  }

  /** Marks it deleted and revokes its keys. False when there is none. */
  delete(id: string, now: Milliseconds): Promise<boolean> {
    return this.#db.transaction().execute(async (tx) => {
      const result = await tx.updateTable('cameras').set({ deleted_at: now }).where('id', '=', id).where('deleted_at', 'is', null).executeTakeFirst();
      await tx.updateTable('camera_keys').set({ revoked_at: now }).where('camera_id', '=', id).where('revoked_at', 'is', null).execute();
      return result.numUpdatedRows === 1n;
    });
  }

  keys(camera: string, after: readonly [number, string] | undefined, limit: number): Promise<KeyRow[]> {
    let query = this.#db.selectFrom('camera_keys').selectAll().where('camera_id', '=', camera).orderBy('created_at').orderBy('id').limit(limit);
    if (after !== undefined) query = query.where((e) => e.or([e('created_at', '>', after[0]), e.and([e('created_at', '=', after[0]), e('id', '>', after[1])])]));
    return query.execute();
  }

  validKeys(): Promise<KeyRow[]> {
    return this.#db.selectFrom('camera_keys').selectAll().where('revoked_at', 'is', null).orderBy('id').execute();
  }

  /** False when the camera is not there, or was removed meanwhile: it would come back with this key. */
  insertKey(key: Insertable<CameraKeysTable>): Promise<boolean> {
    return this.#db.transaction().execute(async (tx) => {
      const camera = await tx.selectFrom('cameras').select('id').where('id', '=', key.camera_id).where('deleted_at', 'is', null).$if(dialectOf(tx).shared, (query) => query.forUpdate()).executeTakeFirst();
      if (camera === undefined) return false;
      await tx.insertInto('camera_keys').values(key).execute();
      return true;
    });
  }

  async revokeKey(camera: string, id: string, now: Milliseconds): Promise<boolean> {
    const result = await this.#db.updateTable('camera_keys').set({ revoked_at: now }).where('camera_id', '=', camera).where('id', '=', id).where('revoked_at', 'is', null).executeTakeFirst();
    return result.numUpdatedRows === 1n;
  }

  /** The newest session of each camera. */
  newestSessions(cameras: readonly string[]): Promise<SessionRow[]> {
    if (cameras.length === 0) return Promise.resolve([]);
    return this.#db
      .selectFrom('sessions as s')
      .selectAll('s')
      .where('s.camera_id', 'in', cameras)
      .where('s.started_at', '=', (e) => e.selectFrom('sessions as n').select((n) => n.fn.max('n.started_at').as('newest')).whereRef('n.camera_id', '=', 's.camera_id'))
      .execute();
  }

  sessions(camera: string, before: readonly [number, string] | undefined, limit: number): Promise<SessionRow[]> {
    let query = this.#db.selectFrom('sessions').selectAll().where('camera_id', '=', camera).orderBy('started_at', 'desc').orderBy('id', 'desc').limit(limit);
    if (before !== undefined) query = query.where((e) => e.or([e('started_at', '<', before[0]), e.and([e('started_at', '=', before[0]), e('id', '<', before[1])])]));
    return query.execute();
  }

  /** See `CameraService.deleteEndedSessions`. */
  deleteEndedSessions(cutoff: Milliseconds, after: readonly [number, string] | undefined, limit: number): Promise<readonly [number, string] | undefined> {
    return this.#db.transaction().execute(async (tx) => {
      let query = tx.selectFrom('sessions').select(['id', 'ended_at']).where('phase', '=', 'ended').where('ended_at', '<', cutoff).orderBy('ended_at').orderBy('id').limit(limit).$if(dialectOf(tx).shared, (rows) => rows.forUpdate());
      // The first condition is implied by the second; it lets SQLite seek in the index.
      if (after !== undefined) query = query.where('ended_at', '>=', after[0]).where((e) => e.or([e('ended_at', '>', after[0]), e('id', '>', after[1])]));
      const seen = await query.execute();
      const last = seen.at(-1);
      if (last?.ended_at == null) return undefined;
      await tx
        .deleteFrom('sessions')
        .where('id', 'in', seen.map(({ id }) => id))
        .where((e) => e.not(e.exists(e.selectFrom('segments').select('segments.id').whereRef('segments.camera_id', '=', 'sessions.camera_id').whereRef('segments.session_id', '=', 'sessions.id').where('segments.expired_at', 'is', null))))
        .execute();
      return seen.length < limit ? undefined : [last.ended_at, last.id];
    });
  }
}
