import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import type { Dialect } from '../../platform/database/dialect.ts';
import type { RecordingRow } from './store.ts';

export interface RunsFilter {
  /** One of these; undefined: all. */
  readonly cameras: readonly string[] | undefined;
  readonly from: Milliseconds | undefined;
  readonly to: Milliseconds | undefined;
  /** Start and camera of the last run of the page before. */
  readonly before: readonly [number, string] | undefined;
  readonly limit: number;
}

/**
 * Runs of segments that overlap the range, newest first.
 *
 * Every run begins with a session's first listed segment or behind a gap. The sessions are found by hopping from one to the next in
 * `segments_runs`, the gaps in `segments_breaks`; only the runs of this page are summed. So the work is that of the sessions listed and
 * of the page, not of all segments; what retention gave up is in neither index.
 *
 * Each database is told its way through the indexes in its own words: SQLite by `indexed by` and `cross join`, which it follows to the
 * letter; PostgreSQL by `lateral`, which leaves it nothing but a loop.
 */
export const runsQuery = (dialect: Dialect, { cameras, from, to, before, limit }: RunsFilter): RawBuilder<RecordingRow> => {
  const inRange = sql.join([sql`true`, ...(to === undefined ? [] : [sql`g.start_ms < ${to}`]), ...(from === undefined ? [] : [sql`g.end_ms > ${from}`])], sql` and `);
  // Segments of a session follow each other: none before the last that began by `from` reaches into the range.
  const candidates = from === undefined ? sql`true` : sql`g.start_ms >= coalesce((select max(c.start_ms) from segments c where c.camera_id = l.camera_id and c.session_id = l.session_id and c.expired_at is null and c.start_ms <= ${from}), 0)`;
  const position = before === undefined ? sql`true` : sql`(start_ms < ${before[0]} or (start_ms = ${before[0]} and camera_id > ${before[1]}))`;
  const words = dialect.name === 'postgres' ? POSTGRES : SQLITE;
  const sums = sql`max(g.end_ms) as end_ms, sum(g.bytes) as bytes, count(*) as segments, max(g.open) as open`;
  const ofPage = sql`g.camera_id = p.camera_id and g.session_id = p.session_id and g.expired_at is null and g.start_ms >= p.start_ms and ${words.beforeUntil} and ${inRange}`;
  return sql<RecordingRow>`
    with recursive listed (camera_id, session_id) as (${words.sessions(cameras)}), heads (camera_id, session_id, start_ms) as (
      select * from (
        select l.camera_id, l.session_id, (
          select g.start_ms from segments g ${words.by('segments_runs')}
          where g.camera_id = l.camera_id and g.session_id = l.session_id and g.expired_at is null and ${candidates} and ${inRange} order by g.start_ms limit 1) as start_ms
        from listed l) as firsts where start_ms is not null
      union
      ${words.breaks(sql`g.camera_id = l.camera_id and g.session_id = l.session_id and g.expired_at is null and g.gap_before > 0 and ${candidates} and ${inRange}`)}
    ), page as (
      select *, (select min(b.start_ms) from segments b where b.camera_id = heads.camera_id and b.session_id = heads.session_id and b.expired_at is null and b.gap_before > 0 and b.start_ms > heads.start_ms) as until
      from heads where ${position} order by start_ms desc, camera_id limit ${limit}
    )
    ${words.summed(sums, ofPage)}`;
};

type Fragment = RawBuilder<unknown>;

interface Words {
  /** The sessions listed, each once, hopping from one to the next. */
  readonly sessions: (cameras: readonly string[] | undefined) => Fragment;
  readonly by: (index: string) => Fragment;
  /** Segments behind a gap, `g`, of the sessions `l`. */
  readonly breaks: (where: Fragment) => Fragment;
  /** That `g` is before the gap that ends the run `p`. */
  readonly beforeUntil: Fragment;
  readonly summed: (sums: Fragment, where: Fragment) => Fragment;
}

/** The first session of all, or of each of the cameras. */
const firstSessions = (cameras: readonly string[] | undefined): Fragment => {
  const first = (where: Fragment): Fragment => sql`select * from (select camera_id, session_id from segments where expired_at is null and ${where} order by camera_id, session_id limit 1) as first_session`;
  return cameras === undefined ? first(sql`true`) : cameras.length === 0 ? first(sql`false`) : sql.join([...new Set(cameras)].map((camera) => first(sql`camera_id = ${camera}`)), sql` union all `);
};

const SQLITE: Words = {
  sessions: (cameras) => sql`
    ${firstSessions(cameras)}
    union all
    select n.camera_id, n.session_id from listed l join segments n on n.rowid = coalesce(
      (select rowid from segments where expired_at is null and camera_id = l.camera_id and session_id > l.session_id order by session_id limit 1),
      ${cameras === undefined ? sql`(select rowid from segments where expired_at is null and camera_id > l.camera_id order by camera_id, session_id limit 1)` : sql`null`})`,
  by: (index) => sql`indexed by ${sql.ref(index)}`,
  breaks: (where) => sql`select g.camera_id, g.session_id, g.start_ms from listed l cross join segments g indexed by segments_breaks where ${where}`,
  beforeUntil: sql`(p.until is null or g.start_ms < p.until)`,
  summed: (sums, where) => sql`
    select p.camera_id, p.session_id, p.start_ms, ${sums} from page p cross join segments g indexed by segments_runs where ${where}
    group by p.camera_id, p.session_id, p.start_ms order by p.start_ms desc, p.camera_id`,
};

const POSTGRES: Words = {
  sessions: (cameras) => {
    const next = cameras === undefined ? sql`(camera_id, session_id) > (l.camera_id, l.session_id)` : sql`camera_id = l.camera_id and session_id > l.session_id`;
    return sql`
    (${firstSessions(cameras)})
    union all
    select n.camera_id, n.session_id from listed l cross join lateral (
      select camera_id, session_id from segments where expired_at is null and ${next} order by camera_id, session_id limit 1) n`;
  },
  by: () => sql``,
  breaks: (where) => sql`select g.camera_id, g.session_id, g.start_ms from listed l cross join lateral (select * from segments g where ${where} offset 0) g`,
  // An end that can be looked for in the index.
  beforeUntil: sql`g.start_ms < coalesce(p.until, 'infinity')`,
  summed: (sums, where) => sql`
    select p.camera_id, p.session_id, p.start_ms, s.end_ms, s.bytes, s.segments, s.open from page p cross join lateral (select ${sums} from segments g where ${where}) s
    order by p.start_ms desc, p.camera_id`,
};
