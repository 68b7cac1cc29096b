import { sql } from 'kysely';
import type { Kysely, Selectable } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import type { Database, SegmentsTable } from '../../platform/database/schema.ts';

export type SegmentRow = Selectable<SegmentsTable>;

/** A gapless run of one session's segments. */
export interface RecordingRow {
  readonly camera_id: string;
  readonly session_id: string;
  readonly start_ms: number;
  readonly end_ms: number;
  readonly bytes: number;
  readonly segments: number;
  readonly open: 0 | 1;
}

export interface TimeRange {
  readonly from: Milliseconds | undefined;
  readonly to: Milliseconds | undefined;
}

/** Segments that retention gave up are in no list. */
export class RecordingStore {
  readonly #db: Kysely<Database>;
  constructor(db: Kysely<Database>) { this.#db = db; }

  /** Those that overlap the range, in order. */
  segments(camera: string, range: TimeRange, after: readonly [number, string] | undefined, limit: number): Promise<SegmentRow[]> {
    let query = this.#db.selectFrom('segments').selectAll().where('camera_id', '=', camera).where('expired_at', 'is', null).orderBy('start_ms').orderBy('id').limit(limit);
    const { from, to } = range;
    if (to !== undefined) query = query.where('start_ms', '<', to);
    if (from !== undefined) {
      query = query.where('end_ms', '>', from).where('start_ms', '>=', this.#firstCandidate(camera, from));
    }
    if (after !== undefined) query = query.where((e) => e.or([e('start_ms', '>', after[0]), e.and([e('start_ms', '=', after[0]), e('id', '>', after[1])])]));
    return query.execute();
  }

  /** Segments after which something is missing, told by the segment after the hole. */
  gaps(camera: string, range: TimeRange, after: readonly [number, string] | undefined, limit: number): Promise<SegmentRow[]> {
    let query = this.#db.selectFrom('segments').selectAll().where('camera_id', '=', camera).where('expired_at', 'is', null).where('gap_before', '>', 0).orderBy('start_ms').orderBy('id').limit(limit);
    if (range.from !== undefined) query = query.where('start_ms', '>', range.from);
    if (range.to !== undefined) query = query.where(sql<number>`start_ms - gap_before`, '<', range.to);
    if (after !== undefined) query = query.where((e) => e.or([e('start_ms', '>', after[0]), e.and([e('start_ms', '=', after[0]), e('id', '>', after[1])])]));
    return query.execute();
  }

  /**
   * Runs of segments that overlap the range, newest first.
   *
   * Every run begins with a session's first listed segment or behind a gap. The sessions are found by hopping from one to the next in
   * `segments_runs`, the gaps in `segments_breaks`; only the runs of this page are summed. So the work is that of the sessions listed and
   * of the page, not of all segments; what retention gave up is in neither index.
   */
  async recordings(filter: TimeRange & { readonly camera: string | undefined }, before: readonly [number, string] | undefined, limit: number): Promise<RecordingRow[]> {
    const { camera, from, to } = filter;
    const mine = camera === undefined ? sql`true` : sql`camera_id = ${camera}`;
    const inRange = sql.join([sql`true`, ...(to === undefined ? [] : [sql`g.start_ms < ${to}`]), ...(from === undefined ? [] : [sql`g.end_ms > ${from}`])], sql` and `);
    // Segments of a session follow each other: none before the last that began by `from` reaches into the range.
    const candidates = from === undefined ? sql`true` : sql`g.start_ms >= coalesce((select max(c.start_ms) from segments c where c.camera_id = l.camera_id and c.session_id = l.session_id and c.expired_at is null and c.start_ms <= ${from}), 0)`;
    const position = before === undefined ? sql`true` : sql`(start_ms < ${before[0]} or (start_ms = ${before[0]} and camera_id > ${before[1]}))`;
    const { rows } = await sql<RecordingRow>`
      with recursive listed (camera_id, session_id) as (
        select * from (select camera_id, session_id from segments where expired_at is null and ${mine} order by camera_id, session_id limit 1)
        union all
        select n.camera_id, n.session_id from listed l join segments n on n.rowid = coalesce(
          (select rowid from segments where expired_at is null and camera_id = l.camera_id and session_id > l.session_id order by session_id limit 1),
          ${camera === undefined ? sql`(select rowid from segments where expired_at is null and camera_id > l.camera_id order by camera_id, session_id limit 1)` : sql`null`})
      ), heads (camera_id, session_id, start_ms) as (
        select * from (
          select l.camera_id, l.session_id, (
            select g.start_ms from segments g indexed by segments_runs
            where g.camera_id = l.camera_id and g.session_id = l.session_id and g.expired_at is null and ${candidates} and ${inRange} order by g.start_ms limit 1) as start_ms
          from listed l) where start_ms is not null
        union
        select g.camera_id, g.session_id, g.start_ms from listed l cross join segments g indexed by segments_breaks
        where g.camera_id = l.camera_id and g.session_id = l.session_id and g.expired_at is null and g.gap_before > 0 and ${candidates} and ${inRange}
      ), page as (
        select *, (select min(b.start_ms) from segments b where b.camera_id = heads.camera_id and b.session_id = heads.session_id and b.expired_at is null and b.gap_before > 0 and b.start_ms > heads.start_ms) as until
        from heads where ${position} order by start_ms desc, camera_id limit ${limit}
      )
      select p.camera_id, p.session_id, p.start_ms, max(g.end_ms) as end_ms, sum(g.bytes) as bytes, count(*) as segments, max(g.open) as open
      from page p cross join segments g indexed by segments_runs
      where g.camera_id = p.camera_id and g.session_id = p.session_id and g.expired_at is null and g.start_ms >= p.start_ms and (p.until is null or g.start_ms < p.until) and ${inRange}
      group by p.camera_id, p.session_id, p.start_ms order by p.start_ms desc, p.camera_id`.execute(this.#db);
    return rows;
  }

  /** Forgets at most `limit` segments that were given up before `cutoff`; how many. */
  async deleteExpired(cutoff: Milliseconds, limit: number): Promise<number> {
    const result = await this.#db
      .deleteFrom('segments')
      .where('id', 'in', (e) => e.selectFrom('segments').select('id').where('expired_at', '<', cutoff).orderBy('expired_at').limit(limit))
      .executeTakeFirst();
    return Number(result.numDeletedRows);
  }

  /** Whether there is or was such a camera, or anything of it is still listed. */
  async known(camera: string): Promise<boolean> {
    const segment = await this.#db.selectFrom('segments').select('id').where('camera_id', '=', camera).where('expired_at', 'is', null).limit(1).executeTakeFirst();
    if (segment !== undefined) return true;
    return (await this.#db.selectFrom('cameras').select('id').where('id', '=', camera).executeTakeFirst()) !== undefined;
  }

  /**
   * Start of the earliest segment that can still overlap `from`: segments of a camera follow each other, but for a small overlap when one
   * publisher takes over from another; so a few rows back by the index are enough, however long the recording.
   */
  #firstCandidate(camera: string, from: Milliseconds) {
    return sql<number>`coalesce((select start_ms from segments where camera_id = ${camera} and expired_at is null and start_ms <= ${from} order by start_ms desc limit 1 offset 3), 0)`;
  }
}
