/**
 * The times of a camera that no mark covers. What was seen in them is deleted when it is old enough; what was seen in the others stays as long
 * as the mark.
 */
import { sql } from 'kysely';
import type { RawBuilder, Transaction } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import { dialectOf } from '../../platform/database/dialect.ts';
import type { Database } from '../../platform/database/schema.ts';
import { MAX_MARK_MS } from './order.ts';
import { merged } from './ranges.ts';
import type { Range } from './ranges.ts';

export interface Unmarked {
  /** In order and apart. */
  readonly gaps: readonly Range[];
  /** So far they are complete: the end of what was asked for, or where to ask on. Always behind its beginning. */
  readonly end: Milliseconds;
}

/** Marks looked at in one statement: a few milliseconds. */
const MARKS = 500;

/** The unmarked parts of a range that is not empty. They stay so until the transaction ends: nobody changes a mark meanwhile. */
export const unmarked = async (tx: Transaction<Database>, camera: string, { from, to }: Range): Promise<Unmarked> => {
  // SQLite writes one transaction at a time.
  if (dialectOf(tx).shared) await sql`lock table marks in share mode`.execute(tx);
  const marks = await tx
    .selectFrom('marks').select(['from_ms as from', 'to_ms as to']).where('camera_id', '=', camera)
    .where('from_ms', '>=', from - MAX_MARK_MS).where('from_ms', '<', to).where('to_ms', '>', from)
    .orderBy('from_ms').limit(MARKS).execute();
  const covered = merged(marks);
  const last = marks.length < MARKS ? undefined : marks.at(-1);
  const [first] = covered;
  // Marks not looked at begin where the last one does, or later. If that is before the range, the first ones cover its beginning.
  const end = last === undefined ? to : Math.min(to, Math.max(last.from, first !== undefined && first.from <= from ? first.to : from));
  const gaps: Range[] = [];
  let at = from;
  for (const mark of covered) {
    if (Math.min(mark.from, end) > at) gaps.push({ from: at, to: Math.min(mark.from, end) });
    at = Math.max(at, mark.to);
  }
  if (at < end) gaps.push({ from: at, to: end });
  return { gaps, end };
};

export interface RowsInGaps {
  readonly columns: RawBuilder<unknown>;
  readonly table: 'detections' | 'sightings';
  /** Of a row `r` and a gap `g`, which has `from_ms` and `to_ms`. */
  readonly where: RawBuilder<unknown>;
  readonly limit: number;
}

/** At most `limit` rows in these times, in no order; of those that another process deletes at the moment none. */
export const rowsInGaps = async <Row>(tx: Transaction<Database>, gaps: readonly Range[], { columns, table, where, limit }: RowsInGaps): Promise<Row[]> => {
  if (gaps.length === 0) return [];
  const listed = sql.join(gaps.map(({ from, to }) => sql`(cast(${from} as double precision), cast(${to} as double precision))`));
  // `lateral`: PostgreSQL would rather read the table than look into an index for each gap. SQLite reads from left to right.
  const found = dialectOf(tx).shared
    ? sql`select f.* from gaps g cross join lateral (select ${columns} from ${sql.table(table)} r where ${where} limit ${limit} for update skip locked) f limit ${limit}`
    : sql`select ${columns} from gaps g cross join ${sql.table(table)} r where ${where} limit ${limit}`;
  return (await sql<Row>`with gaps (from_ms, to_ms) as (values ${listed}) ${found}`.execute(tx)).rows;
};
