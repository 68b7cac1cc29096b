import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import type { Database } from '../../platform/database/schema.ts';
import { MAX_MARK_MS } from '../marks/service.ts';

/** A closed segment of this machine that a mark wants in the archive. */
export interface WaitingSegment {
  readonly id: string;
  readonly camera_id: string;
  readonly start_ms: number;
  readonly end_ms: number;
  readonly bytes: number;
  readonly sha256: string;
}

export interface WaitingPage {
  /** Oldest first. */
  readonly segments: readonly WaitingSegment[];
  /** The last mark looked at; undefined: there are no more. */
  readonly next: string | undefined;
}

export interface WaitingSum {
  readonly segments: number;
  readonly bytes: number;
  /** Unix ms of the start of the oldest; null: none. */
  readonly oldest: number | null;
}

/** An archived segment, and whether a mark still wants it there. */
export interface ArchivedSegment {
  readonly id: string;
  readonly bytes: number;
  readonly covered: 0 | 1;
  readonly unmarked_at: number | null;
}

/** Marks looked at in one statement: a few milliseconds, however many there are. */
const MARKS = 500;
/** Where more wait, how many does not matter. */
const MAX_COUNTED = 10_000;

/** What goes to the archive, what is there, and what may leave it, as the database knows. */
export class ArchiveStore {
  readonly #db: Kysely<Database>;
  constructor(db: Kysely<Database>) { this.#db = db; }

  /** Of the marks after `after` (by id), a page of them: at most `limit` segments that wait. */
  async waiting(after: string, limit: number): Promise<WaitingPage> {
    const last = await this.#lastMark(after);
    if (last === undefined) return { segments: [], next: undefined };
    const { rows } = await sql<WaitingSegment>`${this.#waiting(after, last)} order by start_ms, id limit ${limit}`.execute(this.#db);
    return { segments: rows, next: last };
  }

  /** How much waits for the marks after `after`, a page of them. */
  async countWaiting(after: string): Promise<WaitingSum & { readonly next: string | undefined }> {
    const last = await this.#lastMark(after);
    if (last === undefined) return { segments: 0, bytes: 0, oldest: null, next: undefined };
    const { rows } = await sql<{ segments: number; bytes: number | null; oldest: number | null }>`
      select count(*) as segments, sum(bytes) as bytes, min(start_ms) as oldest from (${this.#waiting(after, last)} limit ${MAX_COUNTED}) w`.execute(this.#db);
    const [sum] = rows;
    return { segments: sum?.segments ?? 0, bytes: sum?.bytes ?? 0, oldest: sum?.oldest ?? null, next: last };
  }

  /** The object store has it. A segment that retention gave up meanwhile is listed again: it can be read from there. */
  async setArchived(id: string, now: Milliseconds): Promise<void> {
    await this.#db.transaction().execute(async (tx) => {
      await tx.updateTable('segments').set({ archived_at: now, unmarked_at: null }).where('id', '=', id).where('archived_at', 'is', null).execute();
      await tx.updateTable('segments').set({ expired_at: null, local: 0 }).where('id', '=', id).where('expired_at', 'is not', null).execute();
    });
  }

  /** Archived segments after `after` (by id), in order. */
  async archived(after: string, limit: number): Promise<ArchivedSegment[]> {
    const { rows } = await sql<ArchivedSegment>`
      select s.id, s.bytes, s.unmarked_at, case when exists (
        select 1 from marks m where m.camera_id = s.camera_id and m.archive = 1 and m.to_ms > s.start_ms and m.to_ms < s.end_ms + ${MAX_MARK_MS} and m.from_ms < s.end_ms
      ) then 1 else 0 end as covered
      from segments s where s.archived_at is not null and s.id > ${after} order by s.id limit ${limit}`.execute(this.#db);
    return rows;
  }

  /** Since when no mark has wanted these; null: one does. */
  async setUnmarked(ids: readonly string[], since: Milliseconds | null): Promise<void> {
    if (ids.length > 0) await this.#db.updateTable('segments').set({ unmarked_at: since }).where('id', 'in', ids).execute();
  }

  /** The object store has it no more. Without a local file it is gone from the lists, too. */
  async setRemoved(id: string, now: Milliseconds): Promise<void> {
    await this.#db.transaction().execute(async (tx) => {
      await tx.updateTable('segments').set({ archived_at: null, unmarked_at: null }).where('id', '=', id).execute();
      await tx.updateTable('segments').set({ expired_at: now }).where('id', '=', id).where('local', '=', 0).where('expired_at', 'is', null).execute();
    });
  }

  async #lastMark(after: string): Promise<string | undefined> {
    const { rows } = await sql<{ last: string | null }>`select max(id) as last from (select id from marks where archive = 1 and id > ${after} order by id limit ${MARKS}) m`.execute(this.#db);
    return rows[0]?.last ?? undefined;
  }

  /**
   * Without an order. The conditions are those of the index `segments_waiting`, word for word, so that marks whose segments are all in the
   * archive cost a look into it each. Segments of a camera follow each other, but for a small overlap: a few back are enough to find the one
   * that reaches into a range.
   */
  #waiting(after: string, last: string) {
    return sql`select distinct s.id, s.camera_id, s.start_ms, s.end_ms, s.bytes, s.sha256
      from (select camera_id, from_ms, to_ms, coalesce((select c.start_ms from segments c where c.camera_id = marks.camera_id and c.expired_at is null and c.start_ms <= marks.from_ms order by c.start_ms desc limit 1 offset 3), 0) as first_ms
        from marks where archive = 1 and id > ${after} and id <= ${last}) m
      cross join segments s
      where s.camera_id = m.camera_id and s.expired_at is null and s.local = 1 and s.archived_at is null and s.open = 0 and s.sha256 is not null
        and s.start_ms >= m.first_ms and s.start_ms < m.to_ms and s.end_ms > m.from_ms`;
  }
}
