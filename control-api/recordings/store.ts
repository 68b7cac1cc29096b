import { sql } from 'kysely';
import type { Kysely, Selectable } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import { dialectOf } from '../../platform/database/dialect.ts';
import type { Database, SegmentsTable } from '../../platform/database/schema.ts';
import { runsQuery } from './runs-query.ts';

/** As the recorder has it: less between two segments is a matter of clocks. */
const SMALLEST_GAP: Milliseconds = 50;

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

  /** Whether it is listed or not. */
  segment(id: string): Promise<SegmentRow | undefined> {
    return this.#db.selectFrom('segments').selectAll().where('id', '=', id).executeTakeFirst();
  }

  /** What is missing, told by the segment after the hole; less what was recorded in it later, by an upload. */
  async gaps(camera: string, range: TimeRange, after: readonly [number, string] | undefined, limit: number): Promise<SegmentRow[]> {
    const filledTo = sql<number | null>`(select p.end_ms from segments p where p.camera_id = segments.camera_id and p.expired_at is null and p.start_ms < segments.start_ms order by p.start_ms desc limit 1)`;
    const missing = sql<number>`case when ${filledTo} > start_ms - gap_before then start_ms - ${filledTo} else gap_before end`;
    let query = this.#db
      .selectFrom('segments').selectAll().select(missing.as('missing'))
      .where('camera_id', '=', camera).where('expired_at', 'is', null).where('gap_before', '>', 0).where((e) => e.or([e(missing, '>', SMALLEST_GAP), e(missing, '=', e.ref('gap_before'))]))
      .orderBy('start_ms').orderBy('id').limit(limit);
    if (range.from !== undefined) query = query.where('start_ms', '>', range.from);
    if (range.to !== undefined) query = query.where(sql<number>`start_ms - ${missing}`, '<', range.to);
    if (after !== undefined) query = query.where((e) => e.or([e('start_ms', '>', after[0]), e.and([e('start_ms', '=', after[0]), e('id', '>', after[1])])]));
    return (await query.execute()).map(({ missing: length, ...row }) => ({ ...row, gap_before: length }));
  }

  /** Runs of segments that overlap the range, newest first. */
  async recordings(filter: TimeRange & { readonly cameras: readonly string[] | undefined }, before: readonly [number, string] | undefined, limit: number): Promise<RecordingRow[]> {
    const { rows } = await runsQuery(dialectOf(this.#db), { ...filter, before, limit }).execute(this.#db);
    return rows;
  }

  /** Forgets at most `limit` segments that were given up before `cutoff`; how many. */
  async deleteExpired(cutoff: Milliseconds, limit: number): Promise<number> {
    const result = await this.#db
      .deleteFrom('segments')
      .where('id', 'in', (e) => e.selectFrom('segments').select('id').where('expired_at', '<', cutoff).orderBy('expired_at').limit(limit).$if(dialectOf(this.#db).shared, (query) => query.forUpdate().skipLocked()))
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
