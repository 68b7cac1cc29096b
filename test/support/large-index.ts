/** Fills a database with what many cameras leave behind: segments, detections, their sightings, and marks. For tests and benchmarks of searches. */
import { sql } from 'kysely';
import type { Kysely, RawBuilder } from 'kysely';
import { firstSeq } from '../../control-api/marks/order.ts';
import { markDocument } from '../../control-api/marks/text-index.ts';
import type { Mark } from '../../control-api/marks/service.ts';
import { dialectOf } from '../../platform/database/dialect.ts';
import type { Database } from '../../platform/database/schema.ts';

export interface IndexSize {
  readonly cameras: number;
  /** Of each camera, 10 s each, the last one ends at `until`. */
  readonly segments: number;
  /** Of each camera, all of the time of its segments; each has `detections`, one every 500 ms. */
  readonly sightings: number;
  readonly detections: number;
  /** Of all cameras: inspections of 20 to 90 s. */
  readonly marks: number;
  /** Unix ms. */
  readonly until: number;
}

export const SEGMENT_MS = 10_000;
export const CLASSES = ['person', 'screw', 'scratch', 'dent'] as const;
const WORDS = ['housing', 'seal', 'surface', 'burr', 'thread', 'weld', 'label', 'paint', 'crack', 'dent', 'scratch', 'gap', '検査', '外観'] as const;

/** What mark number `i` says. */
export const markOf = (i: number, size: IndexSize): Mark => {
  const camera = i % size.cameras;
  const from = size.until - SEGMENT_MS * size.segments + Math.floor(((i * 0.618_033_988_7) % 1) * (SEGMENT_MS * size.segments - 90_000));
  const word = (n: number): string => WORDS[(i * 7 + n * 5 + Math.floor(i / 13)) % WORDS.length] ?? '';
  return {
    id: `mark-${i}`, camera_id: `cell-${camera}`, from_ms: from, to_ms: from + 20_000 + (i % 71) * 1000, kind: 'link', archive: 1, title: `${word(0)} ${word(1)} ${i % 997}`, note: i % 3 === 0 ? `${word(2)} near the ${word(3)}` : null,
    product_id: `P-${i}`, inspection_id: `I-${i}`, work_order_id: `WO-${Math.floor(i / 10)}`, instruction_id: `N-${Math.floor(i / 40)}`, product_type: `HX-${i % 50}`, machine_number: `M${camera}`,
    production_date: new Date(from).toISOString().slice(0, 10), monthly_sequence: i % 10_000, inspection_result: i % 20 === 0 ? 'NG' : 'OK', created_at: from, created_by: 'line', seq: firstSeq(from) + (i % 1000),
    tags: i % 20 === 0 ? ['rework', `shift-${i % 3}`] : [`shift-${i % 3}`],
  };
};

const numbers = (count: number): RawBuilder<unknown> => sql`with recursive n (i) as (select 0 union all select i + 1 from n where i < ${sql.lit(count - 1)})`;
const TABLES = ['segments', 'detections', 'sightings', 'marks', 'mark_tags'] as const;
const MARKS_PER_STATEMENT = 500;

/** The database must be empty, and without a limit on the time of statements. */
export const fillIndex = async (db: Kysely<Database>, size: IndexSize): Promise<void> => {
  const begin = size.until - size.segments * SEGMENT_MS;
  const rebuild = await withoutIndexes(db);
  for (let i = 0; i < size.cameras; i++) {
    await db.insertInto('cameras').values({ id: `cell-${i}`, name: `Cell ${i}`, source: '{"type":"push"}', pipelines: '[]', recording: '{"policy":"always"}', created_at: 1, updated_at: 1, deleted_at: null, extra: '{}' }).execute();
  }
  await sql`insert into segments (id, camera_id, session_id, epoch, start_ms, end_ms, bytes, open, tracks, local)
    ${numbers(size.segments)} select c.id || '/' || n.i, c.id, c.id || '-' || n.i / 1000, 1, ${sql.lit(begin)} + n.i * 10000.0, ${sql.lit(begin)} + (n.i + 1) * 10000.0, 2500000, 0, '[]', 1 from cameras c cross join n`.execute(db);
  const step = (size.segments * SEGMENT_MS) / size.sightings;
  const className = sql`case (n.i * 7 + length(c.id)) % 20 when 0 then 'dent' when 1 then 'scratch' when 2 then 'scratch' when 3 then 'scratch' when 4 then 'screw' when 5 then 'screw' when 6 then 'screw' when 7 then 'screw' when 8 then 'screw' when 9 then 'screw' else 'person' end`;
  await sql`insert into sightings (camera_id, class_name, first_ms, last_ms, count, at_once, max_confidence)
    ${numbers(size.sightings)} select c.id, ${className}, ${sql.lit(begin)} + n.i * ${sql.lit(step)}, ${sql.lit(begin)} + n.i * ${sql.lit(step)} + ${sql.lit((size.detections - 1) * 500)}, ${sql.lit(size.detections)}, 1, 0.5 + (n.i * 31 % 50) / 100.0
    from cameras c cross join n`.execute(db);
  await sql`insert into detections (camera_id, stream_epoch, rtp_timestamp, captured_at_ms, sequence, class_name, class_id, confidence, x, y, width, height, track_id, model, model_digest)
    ${numbers(size.detections)} select s.camera_id, 1, n.i * 45000, s.first_ms + n.i * 500.0, n.i, s.class_name, 0, s.max_confidence, 10, 20, 30, 40, null, 'nanodet', 'sha256:0' from sightings s cross join n`.execute(db);
  for (let i = 0; i < size.marks; i += MARKS_PER_STATEMENT) await addMarks(db, Array.from({ length: Math.min(MARKS_PER_STATEMENT, size.marks - i) }, (_, j) => markOf(i + j, size)));
  await rebuild();
  if (dialectOf(db).name === 'postgres') await sql`vacuum analyze`.execute(db);
};

const addMarks = async (db: Kysely<Database>, marks: readonly Mark[]): Promise<void> => {
  await db.transaction().execute(async (tx) => {
    const dialect = dialectOf(tx);
    await tx.insertInto('marks').values(marks.map(({ tags: _tags, ...row }) => row)).execute();
    await tx.insertInto('mark_tags').values(marks.flatMap(({ id, seq, tags }) => tags.map((tag) => ({ mark_id: id, tag, seq })))).execute();
    const rows = marks.map((mark) => sql`(${mark.seq}, ${markDocument(dialect, mark)}${sql.raw(dialect.name === 'postgres' ? '::tsvector' : '')})`);
    await sql`insert into mark_words (${sql.raw(dialect.name === 'postgres' ? 'seq' : 'rowid')}, words) values ${sql.join(rows)}`.execute(tx);
  });
};

/** Indexes are built faster when all rows are there. */
const withoutIndexes = async (db: Kysely<Database>): Promise<() => Promise<void>> => {
  const tables = sql.join(TABLES);
  const { rows } =
    dialectOf(db).name === 'postgres'
      ? await sql<{ name: string; text: string }>`select indexname as name, indexdef as text from pg_indexes where tablename in (${tables}) and indexname not like '%_pkey'`.execute(db)
      : await sql<{ name: string; text: string }>`select name, sql as text from sqlite_master where type = 'index' and tbl_name in (${tables}) and sql is not null`.execute(db);
  for (const { name } of rows) await sql`drop index ${sql.ref(name)}`.execute(db);
  return async () => {
    for (const { text } of rows) await sql.raw(text).execute(db);
  };
};
