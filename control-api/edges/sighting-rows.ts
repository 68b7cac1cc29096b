/**
 * Sightings: of each camera and class, the stretches of time in which it was seen live without a break of more than 10 s, at most 10 min each.
 * Written with the detections they sum up, in the same transaction.
 */
import { sql } from 'kysely';
import type { Selectable, Transaction } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import type { Database, SightingsTable } from '../../platform/database/schema.ts';
import type { DetectionResult } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import { BREAK_MS, MAX_SIGHTING_MS, SEEN_LIVE } from '../sightings.ts';

/** 8 columns. */
const ROWS_PER_STATEMENT = 500;

type Row = Selectable<SightingsTable>;
interface Seen {
  readonly at: Milliseconds;
  /** In one picture. */
  readonly count: number;
  readonly confidence: number;
}

/** Adds the detections of the results. */
export const addSightings = async (tx: Transaction<Database>, results: readonly DetectionResult[]): Promise<void> => {
  const seen = byCameraAndClass(results);
  if (seen.size === 0) return;
  const known = Map.groupBy(await neighbours(tx, seen), (row) => keyOf(row.camera_id, row.class_name));
  const added = [...seen].flatMap(([key, moments]) => fold(key, moments, known.get(key) ?? []));
  for (let i = 0; i < added.length; i += ROWS_PER_STATEMENT) {
    await tx
      .insertInto('sightings')
      .values(added.slice(i, i + ROWS_PER_STATEMENT))
      .onConflict((conflict) =>
        conflict.columns(['camera_id', 'class_name', 'first_ms', 'analysed_by']).doUpdateSet({
          count: sql`sightings.count + excluded.count`,
          last_ms: larger('last_ms'), at_once: larger('at_once'), max_confidence: larger('max_confidence'),
        }),
      )
      .execute();
  }
};

const larger = (column: 'last_ms' | 'at_once' | 'max_confidence') => {
  const name = sql.raw(column);
  return sql<number>`case when excluded.${name} > sightings.${name} then excluded.${name} else sightings.${name} end`;
};

const keyOf = (camera: string, className: string): string => JSON.stringify([camera, className]);
const partsOf = (key: string): readonly [string, string] => JSON.parse(key) as [string, string];

const byCameraAndClass = (results: readonly DetectionResult[]): Map<string, Seen[]> => {
  const seen = new Map<string, Seen[]>();
  for (const { camera, capturedAt, detections } of results) {
    for (const [className, same] of Map.groupBy(detections, (detection) => detection.className)) {
      const key = keyOf(camera, className);
      const moment = { at: capturedAt, count: same.length, confidence: Math.max(...same.map(({ confidence }) => confidence)) };
      const moments = seen.get(key);
      if (moments === undefined) seen.set(key, [moment]);
      else moments.push(moment);
    }
  }
  for (const moments of seen.values()) moments.sort((a, b) => a.at - b.at);
  return seen;
};

/** The rows that these moments may belong to. */
const neighbours = async (tx: Transaction<Database>, seen: ReadonlyMap<string, readonly Seen[]>): Promise<Row[]> => {
  const times = [...seen.values()].flat().map(({ at }) => at);
  const [first, last] = times.reduce(([low, high], at) => [Math.min(low, at), Math.max(high, at)], [Infinity, -Infinity]);
  const keys = [...seen.keys()];
  const rows: Row[] = [];
  for (let i = 0; i < keys.length; i += ROWS_PER_STATEMENT) {
    const pairs = keys.slice(i, i + ROWS_PER_STATEMENT).map(partsOf).map(([camera, className]) => sql`(${camera}, ${className})`);
    const found = await sql<Row>`select * from sightings where (camera_id, class_name) in (values ${sql.join(pairs)}) and analysed_by = ${SEEN_LIVE} and first_ms >= ${first - MAX_SIGHTING_MS} and first_ms <= ${last}`.execute(tx);
    rows.push(...found.rows);
  }
  return rows;
};

/** What to add to rows, or as rows, by `first_ms`. */
const fold = (key: string, moments: readonly Seen[], known: readonly Row[]): Row[] => {
  const [camera_id, class_name] = partsOf(key);
  const rows = known.map((row) => ({ ...row, count: 0, touched: false })).sort((a, b) => a.first_ms - b.first_ms);
  let next = 0;
  for (const { at, count, confidence } of moments) {
    while ((rows[next]?.first_ms ?? Infinity) <= at) next++;
    const last = rows[next - 1];
    if (last !== undefined && at - last.last_ms <= BREAK_MS && at - last.first_ms <= MAX_SIGHTING_MS) {
      Object.assign(last, { last_ms: Math.max(last.last_ms, at), count: last.count + count, at_once: Math.max(last.at_once, count), max_confidence: Math.max(last.max_confidence, confidence), touched: true });
    } else {
      rows.splice(next, 0, { camera_id, class_name, first_ms: at, last_ms: at, count, at_once: count, max_confidence: confidence, analysed_by: SEEN_LIVE, touched: true });
    }
  }
  return rows.filter(({ touched }) => touched).map(({ touched: _touched, ...row }) => row);
};
