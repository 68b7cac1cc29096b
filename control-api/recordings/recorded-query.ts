import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import type { Dialect } from '../../platform/database/dialect.ts';
import type { RecordingRow } from './store.ts';

/** A stretch of a camera's time. */
export interface Stretch {
  readonly camera: string;
  /** Unix ms. */
  readonly from: Milliseconds;
  readonly to: Milliseconds;
}

/** What is recorded of the stretch with this number: whole segments, the first and the last may reach beyond it. */
export type RecordedRow = RecordingRow & { readonly i: number };

/**
 * What is recorded of each stretch; no row where nothing is. One statement for a page of hits. As in `runs-query.ts`, each database is led to
 * `segments_listed` in its own words.
 */
export const recordedQuery = (dialect: Dialect, stretches: readonly Stretch[]): RawBuilder<RecordedRow> => {
  const asked = sql.join(stretches.map(({ camera, from, to }, i) => sql`(${sql.lit(i)}, cast(${camera} as text), cast(${from} as double precision), cast(${to} as double precision))`));
  const sums = sql`count(*) as segments, sum(g.bytes) as bytes, min(g.start_ms) as start_ms, max(g.end_ms) as end_ms, max(g.open) as open`;
  const overlapping = sql`g.camera_id = a.camera_id and g.expired_at is null and g.start_ms >= a.since and g.start_ms < a.to_ms and g.end_ms > a.from_ms`;
  // Segments of a camera follow each other, but for a small overlap where one publisher takes over from another: a few rows back are enough.
  const since = sql`coalesce((select c.start_ms from segments c where c.camera_id = b.camera_id and c.expired_at is null and c.start_ms <= b.from_ms order by c.start_ms desc limit 1 offset 3), 0)`;
  const found =
    dialect.name === 'postgres'
      ? sql`select a.i, a.camera_id, s.* from asked a cross join lateral (select ${sums} from segments g where ${overlapping}) s where s.segments > 0`
      : sql`select a.i, a.camera_id, ${sums} from asked a cross join segments g indexed by segments_listed where ${overlapping} group by a.i, a.camera_id`;
  return sql<RecordedRow>`
    with bare (i, camera_id, from_ms, to_ms) as (values ${asked}),
      asked as materialized (select b.*, ${since} as since from bare b),
      found as (${found})
    select f.*, (select g.session_id from segments g where g.camera_id = f.camera_id and g.expired_at is null and g.start_ms = f.start_ms order by g.id limit 1) as session_id from found f order by f.i`;
};
