import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import { MAX_MARK_MS, firstSeq } from './order.ts';

/** What a product, an inspection or a work order is known by (PRO-1), from what names one thing to what names many. */
export const PRODUCT_FIELDS = ['inspection_id', 'product_id', 'work_order_id', 'instruction_id', 'production_date', 'machine_number', 'product_type', 'inspection_result'] as const;
export type ProductField = (typeof PRODUCT_FIELDS)[number];

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
}

/** Where a query reads marks `m` from, newest first, and all its conditions. */
export interface MarkQuery {
  readonly from: RawBuilder<unknown>;
  readonly seq: RawBuilder<number>;
  readonly where: RawBuilder<unknown>;
}

const and = (conditions: readonly RawBuilder<unknown>[]): RawBuilder<unknown> => sql.join([sql`true`, ...conditions], sql` and `);

/**
 * The index to read is chosen here, since a database without statistics chooses badly: that of the field that names the fewest marks. All
 * others are written so that no index serves them (`coalesce`). Every index ends in `seq`, so a full page ends the reading.
 */
export const markQuery = (filter: MarkFilter): MarkQuery => {
  const product = PRODUCT_FIELDS.filter((field) => filter[field] !== undefined);
  const tags = filter.tags ?? [];
  // A tag is less than an id and more than a type.
  const [best] = product;
  const byTag = tags.length > 0 && (best === undefined || PRODUCT_FIELDS.indexOf(best) >= PRODUCT_FIELDS.indexOf('production_date')) ? tags[0] : undefined;
  const driver = byTag === undefined ? best : undefined;
  const seq = byTag === undefined ? sql<number>`m.seq` : sql<number>`t.seq`;
  const { from, to, cameras, kinds } = filter;
  const conditions: RawBuilder<unknown>[] = [];
  if (byTag !== undefined) conditions.push(sql`t.tag = ${byTag} and m.seq = t.seq`);
  for (const field of product) conditions.push(field === driver ? sql`m.${sql.raw(field)} = ${filter[field]}` : sql`coalesce(m.${sql.raw(field)}, null) = ${filter[field]}`);
  if (filter.monthly_sequence !== undefined) conditions.push(sql`m.monthly_sequence = ${filter.monthly_sequence}`);
  if (filter.production_date_from !== undefined) conditions.push(sql`coalesce(m.production_date, null) >= ${filter.production_date_from}`);
  if (filter.production_date_to !== undefined) conditions.push(sql`coalesce(m.production_date, null) <= ${filter.production_date_to}`);
  for (const tag of tags) {
    if (tag !== byTag) conditions.push(sql`exists (select 1 from mark_tags o where o.mark_id = m.id and o.tag = ${tag})`);
  }
  if (cameras !== undefined) {
    const [only] = cameras;
    if (cameras.length === 1 && driver === undefined && byTag === undefined) conditions.push(sql`m.camera_id = ${only}`);
    else conditions.push(sql`coalesce(m.camera_id, null) in (${sql.join(cameras.length === 0 ? [null] : cameras)})`);
  }
  if (kinds !== undefined) conditions.push(sql`m.kind in (${sql.join(kinds.length === 0 ? [null] : kinds)})`);
  if (to !== undefined) conditions.push(sql`${seq} < ${firstSeq(to)}`, sql`m.from_ms < ${to}`);
  if (from !== undefined) conditions.push(sql`${seq} >= ${firstSeq(from - MAX_MARK_MS)}`, sql`m.to_ms > ${from}`);
  return { from: byTag === undefined ? sql`marks m` : sql`mark_tags t cross join marks m`, seq, where: and(conditions) };
};
