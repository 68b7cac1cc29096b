import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import type { Dialect } from '../../platform/database/dialect.ts';
import { MAX_SIGHTING_MS } from '../sightings.ts';
import { MAX_MARK_MS, firstSeq } from './order.ts';
import { seqOfWords, wordsMatch } from './text-index.ts';
import type { TextQuery } from './text-index.ts';

/** What a product, an inspection or a work order is known by (PRO-1), from what names one thing to what names many. */
export const PRODUCT_FIELDS = ['inspection_id', 'product_id', 'work_order_id', 'instruction_id', 'production_date', 'machine_number', 'product_type', 'inspection_result'] as const;
export type ProductField = (typeof PRODUCT_FIELDS)[number];
/** Of them, those that name so few marks that looking at each is fast. */
const OF_FEW: readonly string[] = PRODUCT_FIELDS.slice(0, 4);

/** A class that was seen in the mark's range, in all sightings that overlap it together. */
export interface SeenFilter {
  readonly className: string;
  /** Detections. */
  readonly minCount: number | undefined;
  /** In one picture. */
  readonly minAtOnce: number | undefined;
  readonly minConfidence: number | undefined;
}

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
  readonly seen?: SeenFilter | undefined;
}

/** Where a query reads marks `m` from, newest first, and all its conditions. */
export interface MarkQuery {
  readonly from: RawBuilder<unknown>;
  readonly seq: RawBuilder<number>;
  readonly where: RawBuilder<unknown>;
}

const anyOf = (values: readonly string[]): RawBuilder<unknown> => (values.length === 0 ? sql`(null)` : sql`(${sql.join(values)})`);

/**
 * The index to read is chosen here, since a database without statistics chooses badly: that of the condition that names the fewest marks.
 * All other conditions are written so that no index serves them (`coalesce`). Every index ends in `seq`, so a full page ends the reading.
 */
export const markQuery = (dialect: Dialect, filter: MarkFilter, text: TextQuery | undefined): MarkQuery => {
  const { from, to, cameras, kinds, tags = [], seen } = filter;
  const fields = PRODUCT_FIELDS.filter((field) => filter[field] !== undefined);
  const [best] = fields;
  const driver = best !== undefined && OF_FEW.includes(best) ? 'field' : text !== undefined ? 'text' : tags.length > 0 && best !== 'production_date' ? 'tag' : best !== undefined ? 'field' : 'none';
  const source = SOURCES[driver](dialect);
  const conditions: RawBuilder<unknown>[] = [sql`true`, ...source.joined];

  for (const field of fields) conditions.push(driver === 'field' && field === best ? sql`m.${sql.ref(field)} = ${filter[field]}` : sql`coalesce(m.${sql.ref(field)}, null) = ${filter[field]}`);
  if (text !== undefined) {
    conditions.push(driver === 'text' ? wordsMatch(dialect, text) : sql`exists (select 1 from mark_words w where ${seqOfWords(dialect)} = m.seq and ${wordsMatch(dialect, text)})`);
  }
  for (const [i, tag] of tags.entries()) conditions.push(driver === 'tag' && i === 0 ? sql`t.tag = ${tag}` : sql`exists (select 1 from mark_tags o where o.mark_id = m.id and o.tag = ${tag})`);
  if (filter.monthly_sequence !== undefined) conditions.push(sql`m.monthly_sequence = ${filter.monthly_sequence}`);
  if (filter.production_date_from !== undefined) conditions.push(sql`coalesce(m.production_date, null) >= ${filter.production_date_from}`);
  if (filter.production_date_to !== undefined) conditions.push(sql`coalesce(m.production_date, null) <= ${filter.production_date_to}`);
  if (cameras !== undefined) conditions.push(driver === 'none' && cameras.length === 1 ? sql`m.camera_id = ${cameras[0]}` : sql`coalesce(m.camera_id, null) in ${anyOf(cameras)}`);
  if (kinds !== undefined) conditions.push(sql`m.kind in ${anyOf(kinds)}`);
  if (to !== undefined) conditions.push(sql`${source.seq} < ${firstSeq(to)}`, sql`m.from_ms < ${to}`);
  if (from !== undefined) conditions.push(sql`${source.seq} >= ${firstSeq(from - MAX_MARK_MS)}`, sql`m.to_ms > ${from}`);
  if (seen !== undefined) conditions.push(seenIn(seen));
  return { from: source.from, seq: source.seq, where: sql.join(conditions, sql` and `) };
};

interface Source {
  readonly from: RawBuilder<unknown>;
  readonly seq: RawBuilder<number>;
  readonly joined: readonly RawBuilder<unknown>[];
}

/** `cross join`: SQLite reads the tables in this order. */
const SOURCES: Readonly<Record<'field' | 'none' | 'tag' | 'text', (dialect: Dialect) => Source>> = {
  field: () => ({ from: sql`marks m`, seq: sql`m.seq`, joined: [] }),
  none: () => ({ from: sql`marks m`, seq: sql`m.seq`, joined: [] }),
  tag: () => ({ from: sql`mark_tags t cross join marks m`, seq: sql`t.seq`, joined: [sql`m.seq = t.seq`] }),
  text: (dialect) => ({ from: sql`mark_words w cross join marks m`, seq: seqOfWords(dialect), joined: [sql`m.seq = ${seqOfWords(dialect)}`] }),
};

/** Sightings `s` of a class that overlap the mark `m`. */
export const sightingsOfMark = (className: string): RawBuilder<unknown> =>
  sql`sightings s where s.camera_id = m.camera_id and s.class_name = ${className} and s.first_ms < m.to_ms and s.first_ms >= m.from_ms - ${sql.lit(MAX_SIGHTING_MS)} and s.last_ms >= m.from_ms`;

const seenIn = ({ className, minCount = 1, minAtOnce, minConfidence }: SeenFilter): RawBuilder<unknown> => {
  const least = [sql`sum(s.count) >= ${minCount}`];
  if (minAtOnce !== undefined) least.push(sql`max(s.at_once) >= ${minAtOnce}`);
  if (minConfidence !== undefined) least.push(sql`max(s.max_confidence) >= ${minConfidence}`);
  return sql`exists (select sum(s.count) from ${sightingsOfMark(className)} having ${sql.join(least, sql` and `)})`;
};
