import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import type { Dialect } from '../../platform/database/dialect.ts';
import { MAX_MARK_MS, firstSeq } from './order.ts';
import { seqOfWords, wordsMatch } from './text-index.ts';
import type { Fact, TextQuery } from './text-index.ts';

/** What a product, an inspection or a work order is known by (PRO-1), from what names one thing to what names many. */
export const PRODUCT_FIELDS = ['inspection_id', 'product_id', 'work_order_id', 'instruction_id', 'production_date', 'machine_number', 'product_type', 'inspection_result'] as const;
export type ProductField = (typeof PRODUCT_FIELDS)[number];
/** Of them, those that name so few marks that looking at each is fast. */
const OF_FEW: readonly string[] = PRODUCT_FIELDS.slice(0, 4);

/** All of it must be true of a mark. */
export interface MarkFilter extends Readonly<Partial<Record<ProductField, string | undefined>>> {
  /** One of these. */
  readonly cameras?: readonly string[] | undefined;
  readonly kinds?: readonly string[] | undefined;
  /** Overlaps this time, Unix ms. */
  readonly from?: Milliseconds | undefined;
  readonly to?: Milliseconds | undefined;
  readonly monthly_sequence?: number | undefined;
  /** `YYYY-MM-DD`, both included. */
  readonly production_date_from?: string | undefined;
  readonly production_date_to?: string | undefined;
  /** Has all of them. */
  readonly tags?: readonly string[] | undefined;
  /** Free text: its words, in whatever order, each in one of the mark's texts or in its camera's name. */
  readonly q?: string | undefined;
}

/** Where a query reads marks `m` from, newest first, and all its conditions. */
export interface MarkQuery {
  readonly from: RawBuilder<unknown>;
  readonly seq: RawBuilder<number>;
  readonly where: RawBuilder<unknown>;
}

const anyOf = (values: readonly string[]): RawBuilder<unknown> => (values.length === 0 ? sql`(null)` : sql`(${sql.join(values)})`);

/**
 * The index to read is chosen here, since a database without statistics chooses badly. A field that names few marks goes first; else the
 * index of words, where all that is asked for of texts, fields, tags and cameras is looked up together; else the index of the one thing
 * asked for. All other conditions are written so that no index serves them (`coalesce`). Every index ends in `seq`, so a full page ends
 * the reading.
 */
export const markQuery = (dialect: Dialect, filter: MarkFilter, text: TextQuery | undefined): MarkQuery => {
  const { from, to, cameras, kinds, tags = [] } = filter;
  const fields = PRODUCT_FIELDS.filter((field) => filter[field] !== undefined);
  const driver = driverOf(filter, fields, text);
  const source = SOURCES[driver](dialect);
  const conditions: RawBuilder<unknown>[] = [sql`true`, ...source.joined];

  if (driver === 'words') {
    conditions.push(wordsMatch(dialect, text ?? [], factsOf(filter)));
  } else {
    for (const [i, field] of fields.entries()) conditions.push(driver === 'field' && i === 0 ? sql`m.${sql.ref(field)} = ${filter[field]}` : sql`coalesce(m.${sql.ref(field)}, null) = ${filter[field]}`);
    if (text !== undefined) conditions.push(sql`exists (select 1 from mark_words w where ${seqOfWords(dialect)} = m.seq and ${wordsMatch(dialect, text, [])})`);
    for (const [i, tag] of tags.entries()) conditions.push(driver === 'tag' && i === 0 ? sql`t.tag = ${tag}` : sql`exists (select 1 from mark_tags o where o.mark_id = m.id and o.tag = ${tag})`);
    if (cameras !== undefined) conditions.push(driver === 'camera' ? sql`m.camera_id = ${cameras[0]}` : sql`coalesce(m.camera_id, null) in ${anyOf(cameras)}`);
  }
  if (filter.monthly_sequence !== undefined) conditions.push(sql`m.monthly_sequence = ${filter.monthly_sequence}`);
  const date = driver === 'dates' ? sql`m.production_date` : sql`coalesce(m.production_date, null)`;
  if (filter.production_date_from !== undefined) conditions.push(sql`${date} >= ${filter.production_date_from}`);
  if (filter.production_date_to !== undefined) conditions.push(sql`${date} <= ${filter.production_date_to}`);
  if (kinds !== undefined) conditions.push(sql`m.kind in ${anyOf(kinds)}`);
  // Of both tables where there are two: PostgreSQL may begin with either.
  const seqs = source.joined.length === 0 ? [source.seq] : [source.seq, sql`m.seq`];
  if (to !== undefined) conditions.push(...seqs.map((seq) => sql`${seq} < ${firstSeq(to)}`), sql`m.from_ms < ${to}`);
  if (from !== undefined) conditions.push(...seqs.map((seq) => sql`${seq} >= ${firstSeq(from - MAX_MARK_MS)}`), sql`m.to_ms > ${from}`);
  return { from: source.from, seq: source.seq, where: sql.join(conditions, sql` and `) };
};

type Driver = 'field' | 'words' | 'tag' | 'camera' | 'dates' | 'none';

/** So many days' marks are sorted sooner than those of all other days are passed over. */
const FEW_DAYS = 31;
const fewDays = ({ production_date_from: from, production_date_to: to }: MarkFilter): boolean => from !== undefined && to !== undefined && Date.parse(to) - Date.parse(from) < FEW_DAYS * 86_400_000;

const driverOf = (filter: MarkFilter, [best, ...others]: readonly ProductField[], text: TextQuery | undefined): Driver => {
  const { tags = [], cameras } = filter;
  if (best !== undefined && OF_FEW.includes(best)) return 'field';
  const several = (best === undefined ? 0 : 1) + others.length + tags.length + (cameras === undefined ? 0 : 1) > 1;
  if (text !== undefined || several) return 'words';
  return best !== undefined ? 'field' : tags.length > 0 ? 'tag' : cameras?.length === 1 ? 'camera' : fewDays(filter) ? 'dates' : 'none';
};

/** Of fields with few marks none: where there is one, it is the driver. */
const factsOf = ({ cameras, tags = [], production_date, machine_number, product_type, inspection_result }: MarkFilter): Fact[] => {
  const fields = Object.entries({ production_date, machine_number, product_type, inspection_result }) as [Fact['name'], string | undefined][];
  return [
    ...fields.flatMap(([name, value]): Fact[] => (value === undefined ? [] : [{ name, anyOf: [value] }])),
    ...tags.map((tag): Fact => ({ name: 'tag', anyOf: [tag] })),
    ...(cameras === undefined ? [] : [{ name: 'camera', anyOf: cameras } as const]),
  ];
};

interface Source {
  readonly from: RawBuilder<unknown>;
  readonly seq: RawBuilder<number>;
  readonly joined: readonly RawBuilder<unknown>[];
}

const MARKS: Source = { from: sql`marks m`, seq: sql`m.seq`, joined: [] };
/** `cross join`: SQLite reads the tables in this order. */
const SOURCES: Readonly<Record<Driver, (dialect: Dialect) => Source>> = {
  field: () => MARKS,
  camera: () => MARKS,
  none: () => MARKS,
  // The days by their index, then sorted.
  dates: () => ({ ...MARKS, seq: sql`(m.seq + 0)` }),
  tag: () => ({ from: sql`mark_tags t cross join marks m`, seq: sql`t.seq`, joined: [sql`m.seq = t.seq`] }),
  words: (dialect) => ({ from: sql`mark_words w cross join marks m`, seq: seqOfWords(dialect), joined: [sql`m.seq = ${seqOfWords(dialect)}`] }),
};
