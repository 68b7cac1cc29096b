import { sql } from 'kysely';
import type { Transaction } from 'kysely';
import { dialectOf } from '../../platform/database/dialect.ts';
import type { Database, DetectionsTable } from '../../platform/database/schema.ts';
import type { DetectionResult } from '../../proto/gen/imageflow/v1/media_control_pb.ts';

type Column = Exclude<keyof DetectionsTable, 'id' | 'analysis_id'>;
type Row = Readonly<Record<Column, string | number | null>>;

/** With PostgreSQL's names of their types. */
const COLUMNS: readonly (readonly [Column, 'text' | 'int8' | 'float8'])[] = [
  ['camera_id', 'text'], ['stream_epoch', 'int8'], ['rtp_timestamp', 'int8'], ['captured_at_ms', 'float8'], ['sequence', 'int8'], ['class_name', 'text'], ['class_id', 'int8'], ['confidence', 'float8'],
  ['x', 'float8'], ['y', 'float8'], ['width', 'float8'], ['height', 'float8'], ['track_id', 'text'], ['model', 'text'], ['model_digest', 'text'],
];
const NAMES = sql.join(COLUMNS.map(([name]) => sql.ref(name)));

/** Adds all detections of the results. One statement for any number of rows: parsing one is dearer than a row. */
export const insertDetections = async (tx: Transaction<Database>, results: readonly DetectionResult[]): Promise<void> => {
  const rows = results.flatMap(toRows);
  if (rows.length === 0) return;
  const source = dialectOf(tx).name === 'postgres' ? unnested(rows) : fromJson(rows);
  await sql`insert into detections (${NAMES}) ${source}`.execute(tx);
};

const toRows = (r: DetectionResult): Row[] =>
  r.detections.map((d) => ({
    camera_id: r.camera, stream_epoch: r.epoch, rtp_timestamp: r.rtpTimestamp, captured_at_ms: r.capturedAt, sequence: Number(r.sequence), class_name: d.className, class_id: d.classId, confidence: d.confidence,
    x: d.x, y: d.y, width: d.width, height: d.height, track_id: d.trackId ?? null, model: r.model, model_digest: r.modelDigest,
  }));

/** One array a column. What is no number is null there, as in JSON: such a row is refused. */
const unnested = (rows: readonly Row[]) => {
  const column = (name: Column): (string | number | null)[] => rows.map((row) => (typeof row[name] === 'number' && !Number.isFinite(row[name]) ? null : row[name]));
  return sql`select * from unnest(${sql.join(COLUMNS.map(([name, type]) => sql`${sql.val(column(name))}::${sql.raw(type)}[]`))})`;
};

/** One parameter, an array a row. */
const fromJson = (rows: readonly Row[]) => {
  const values = sql.join(COLUMNS.map((_, i) => sql`json_extract(value, ${sql.lit(`$[${i}]`)})`));
  return sql`select ${values} from json_each(${JSON.stringify(rows.map((row) => COLUMNS.map(([name]) => row[name])))})`;
};
