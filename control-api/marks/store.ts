import { sql } from 'kysely';
import type { Kysely, RawBuilder, Selectable, Transaction } from 'kysely';
import { MediaError } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import { dialectOf, holdAlone } from '../../platform/database/dialect.ts';
import type { Dialect } from '../../platform/database/dialect.ts';
import type { Database, MarkTagsTable, MarksTable } from '../../platform/database/schema.ts';
import { MAX_SIGHTING_MS, SEEN_LIVE } from '../sightings.ts';

import { markQuery } from './filter.ts';
import type { MarkFilter } from './filter.ts';
import { MAX_MARK_MS, firstSeq } from './order.ts';
import type { Range } from './ranges.ts';
import { removeWords, textQuery, writeWords } from './text-index.ts';

export type MarkRow = Selectable<MarksTable>;
/** A mark with its tags, in the order of the alphabet. */
export interface Mark extends MarkRow {
  readonly tags: readonly string[];
}
/** What a mark says, without what the server adds. */
export type MarkContent = Omit<Mark, 'id' | 'seq' | 'created_at' | 'created_by'>;

/** Where a mark is. */
export type MarkPlace = Pick<MarkRow, 'id' | 'seq' | 'camera_id' | 'from_ms' | 'to_ms'>;

export interface SeenInMark {
  readonly className: string;
  /** Detections. */
  readonly count: number;
  /** The most in one picture. */
  readonly atOnce: number;
  readonly maxConfidence: number;
  /** The model whose analyses of the recording say so; null: it was seen live. */
  readonly analysedBy: string | null;
}

/** The members of an event's `product_info` (seed 001 §4.2.2). */
const PRODUCT_INFO = ['work_order_id', 'instruction_id', 'product_type', 'machine_number'] as const;
export type ProductInfo = Pick<MarkRow, (typeof PRODUCT_INFO)[number]>;

export interface CameraRange extends Range {
  readonly camera: string;
}

/** Another control process may take the same `seq` meanwhile. */
const TRIES = 5;
/** Parameters a statement takes in every database. */
const ROWS_PER_STATEMENT = 500;

const WAITING = sql`s.expired_at is null and s.local = 1 and s.archived_at is null`;

export class MarkStore {
  readonly #db: Kysely<Database>;
  constructor(db: Kysely<Database>) { this.#db = db; }

  /** Throws RESOURCE_EXHAUSTED when a thousand marks begin in the same millisecond, UNAVAILABLE. */
  insert(mark: Omit<Mark, 'seq'>): Promise<Mark> {
    const { tags, ...row } = mark;
    return this.#db.transaction().execute(async (tx) => {
      for (let i = 0; i < TRIES; i++) {
        const seq = await freeSeq(tx, mark.from_ms);
        const result = await tx.insertInto('marks').values({ ...row, seq }).onConflict((conflict) => conflict.column('seq').doNothing()).executeTakeFirst();
        if (result.numInsertedOrUpdatedRows !== 1n) continue;
        await writeTags(tx, mark.id, tags, seq);
        await writeWords(tx, seq, mark);
        return { ...mark, seq };
      }
      throw new MediaError('UNAVAILABLE', 'Others add marks of the same moment; try again.', { reason: 'MARKS_BUSY', retryAfterSeconds: 1 });
    });
  }

  /** Sets all that a mark says. False when there is none. Throws as `insert`. */
  update(id: string, content: MarkContent): Promise<boolean> {
    const { tags, ...columns } = content;
    return this.#db.transaction().execute(async (tx) => {
      const known = await tx.selectFrom('marks').select(['from_ms', 'seq']).where('id', '=', id).executeTakeFirst();
      if (known === undefined) return false;
      const seq = known.from_ms === content.from_ms ? known.seq : await freeSeq(tx, content.from_ms);
      await tx.updateTable('marks').set({ ...columns, seq }).where('id', '=', id).execute();
      await writeTags(tx, id, tags, seq);
      if (seq !== known.seq) await removeWords(tx, known.seq);
      await writeWords(tx, seq, content);
      return true;
    });
  }

  async get(id: string): Promise<Mark | undefined> {
    const [mark] = await this.#withTags(await this.#db.selectFrom('marks').selectAll().where('id', '=', id).execute());
    return mark;
  }

  delete(id: string): Promise<boolean> {
    return this.#db.transaction().execute(async (tx) => {
      const deleted = await tx.deleteFrom('marks').where('id', '=', id).returning('seq').executeTakeFirst();
      if (deleted !== undefined) await removeWords(tx, deleted.seq);
      return deleted !== undefined;
    });
  }

  /** Newest first; `before`: the `seq` of the last one of the page before. */
  async list(filter: MarkFilter, before: number | undefined, limit: number): Promise<Mark[]> {
    return this.#withTags(await this.#select<MarkRow>(sql`m.*`, filter, before, limit));
  }

  /** As `list`, of each no more than where it is. */
  places(filter: MarkFilter, before: number | undefined, limit: number): Promise<MarkPlace[]> {
    return this.#select<MarkPlace>(sql`m.id, m.seq, m.camera_id, m.from_ms, m.to_ms`, filter, before, limit);
  }

  /** Those of these that there are, in no order. */
  async some(ids: readonly string[]): Promise<Mark[]> {
    const rows: MarkRow[] = [];
    for (let i = 0; i < ids.length; i += ROWS_PER_STATEMENT) rows.push(...(await this.#db.selectFrom('marks').selectAll().where('id', 'in', ids.slice(i, i + ROWS_PER_STATEMENT)).execute()));
    return this.#withTags(rows);
  }

  /** How often a class was seen in each range, live and by each model of analyses, in all its sightings that overlap it together; by the mark's id. */
  async seen(places: readonly MarkPlace[], className: string): Promise<Map<string, SeenInMark[]>> {
    const found = new Map<string, SeenInMark[]>();
    for (let at = 0; at < places.length; at += ROWS_PER_STATEMENT) {
      const { rows } = await seenQuery(dialectOf(this.#db), places.slice(at, at + ROWS_PER_STATEMENT), className).execute(this.#db);
      for (const { i, count, at_once, max_confidence, analysed_by } of rows) {
        const id = places[at + i]?.id ?? '';
        const seen = { className, count, atOnce: at_once, maxConfidence: max_confidence, analysedBy: analysed_by === SEEN_LIVE ? null : analysed_by };
        found.set(id, [...(found.get(id) ?? []), seen]);
      }
    }
    return found;
  }

  /** How many are to stay on the disk, counted up to `limit`. */
  async countOnDisk(limit: number): Promise<number> {
    const rows = await this.#db.selectFrom('marks').select('id').where('archive', '=', sql.lit(0)).limit(limit).execute();
    return rows.length;
  }

  /** Ranges to keep on the edge's disk: marks that stay there, and those to archive of which something is there and nowhere else. */
  async kept(): Promise<CameraRange[]> {
    const onDisk = await this.#db.selectFrom('marks').select(['camera_id as camera', 'from_ms as from', 'to_ms as to']).where('archive', '=', sql.lit(0)).execute();
    // The cameras are found by hopping from one to the next in `segments_waiting`; of each, only marks that end behind its oldest such segment matter.
    const { rows } = await sql<CameraRange>`
      with recursive hop (camera_id) as (
        select min(s.camera_id) from segments s where ${WAITING}
        union all
        select (select min(s.camera_id) from segments s where ${WAITING} and s.camera_id > hop.camera_id) from hop where hop.camera_id is not null
      )
      select m.camera_id as "camera", m.from_ms as "from", m.to_ms as "to" from hop h cross join marks m
      where h.camera_id is not null and m.archive = 1 and m.camera_id = h.camera_id
        and m.to_ms > (select min(s.start_ms) from segments s where ${WAITING} and s.camera_id = h.camera_id)
        and exists (select 1 from segments s where ${WAITING} and s.camera_id = m.camera_id and s.start_ms < m.to_ms and s.end_ms > m.from_ms
          and s.start_ms >= coalesce((select s.start_ms from segments s where ${WAITING} and s.camera_id = m.camera_id and s.start_ms <= m.from_ms order by s.start_ms desc limit 1 offset 3), 0))`.execute(this.#db);
    return [...onDisk, ...rows];
  }

  /** The ranges of a camera's marks that overlap a range. */
  overlapping(camera: string, { from, to }: Range): Promise<(Range & { readonly archive: 0 | 1 })[]> {
    return this.#db
      .selectFrom('marks').select(['from_ms as from', 'to_ms as to', 'archive']).where('camera_id', '=', camera)
      .where('seq', '<', firstSeq(to)).where('seq', '>=', firstSeq(from - MAX_MARK_MS)).where('from_ms', '<', to).where('to_ms', '>', from)
      .execute();
  }

  /** Of each member what every mark in the range that has it says; null where they differ or none has it. */
  async productIn(camera: string, { from, to }: Range): Promise<ProductInfo> {
    const rows = await this.#db
      .selectFrom('marks').select(PRODUCT_INFO).distinct().where('camera_id', '=', camera)
      .where('seq', '<', firstSeq(to)).where('seq', '>=', firstSeq(from - MAX_MARK_MS)).where('from_ms', '<', to).where('to_ms', '>', from)
      .limit(ROWS_PER_STATEMENT).execute();
    const agreed = (member: keyof ProductInfo): string | null => {
      const said = new Set(rows.map((row) => row[member]).filter((value) => value !== null));
      return said.size === 1 ? ([...said][0] ?? null) : null;
    };
    return { work_order_id: agreed('work_order_id'), instruction_id: agreed('instruction_id'), product_type: agreed('product_type'), machine_number: agreed('machine_number') };
  }

  /** Whether there is or was such a camera, or anything of it is listed. */
  async known(camera: string): Promise<boolean> {
    const row = await this.#db.selectFrom('cameras').select('id').where('id', '=', camera).executeTakeFirst();
    return row !== undefined || (await this.#db.selectFrom('segments').select('id').where('camera_id', '=', camera).where('expired_at', 'is', null).limit(1).executeTakeFirst()) !== undefined;
  }

  async #select<Row>(columns: RawBuilder<unknown>, filter: MarkFilter, before: number | undefined, limit: number): Promise<Row[]> {
    const text = filter.q === undefined ? undefined : await textQuery(this.#db, filter.q);
    const { from, seq, where } = markQuery(dialectOf(this.#db), filter, text);
    const position = before === undefined ? sql`true` : sql`${seq} < ${before}`;
    const { rows } = await sql<Row>`select ${columns} from ${from} where ${where} and ${position} order by ${seq} desc limit ${limit}`.execute(this.#db);
    return rows;
  }

  async #withTags(rows: readonly MarkRow[]): Promise<Mark[]> {
    const tags = new Map<string, string[]>();
    for (let i = 0; i < rows.length; i += ROWS_PER_STATEMENT) {
      const ids = rows.slice(i, i + ROWS_PER_STATEMENT).map(({ id }) => id);
      for (const { mark_id, tag } of await this.#db.selectFrom('mark_tags').select(['mark_id', 'tag']).where('mark_id', 'in', ids).execute()) {
        const known = tags.get(mark_id);
        if (known === undefined) tags.set(mark_id, [tag]);
        else known.push(tag);
      }
    }
    return rows.map((row) => ({ ...row, tags: (tags.get(row.id) ?? []).sort() }));
  }
}

interface SeenRow {
  /** Which of the places. */
  readonly i: number;
  readonly count: number;
  readonly at_once: number;
  readonly max_confidence: number;
  readonly analysed_by: string;
}

/** `lateral`: PostgreSQL would rather read all sightings of the class than look up those of each place. */
const seenQuery = (dialect: Dialect, places: readonly MarkPlace[], className: string): RawBuilder<SeenRow> => {
  const asked = sql.join(places.map(({ camera_id, from_ms, to_ms }, i) => sql`(${sql.lit(i)}, cast(${camera_id} as text), cast(${from_ms} as double precision), cast(${to_ms} as double precision))`));
  const sums = sql`s.analysed_by, sum(s.count) as count, max(s.at_once) as at_once, max(s.max_confidence) as max_confidence`;
  const overlapping = sql`s.camera_id = a.camera_id and s.class_name = ${className} and s.first_ms < a.to_ms and s.first_ms >= a.from_ms - ${sql.lit(MAX_SIGHTING_MS)} and s.last_ms >= a.from_ms`;
  const found =
    dialect.name === 'postgres'
      ? sql`select a.i, f.* from asked a cross join lateral (select ${sums} from sightings s where ${overlapping} group by s.analysed_by) f`
      : sql`select a.i, ${sums} from asked a cross join sightings s where ${overlapping} group by a.i, s.analysed_by`;
  return sql<SeenRow>`with asked (i, camera_id, from_ms, to_ms) as (values ${asked}) ${found}`;
};

/** A `seq` no other mark has. Whoever looks for one of the same moment waits until the transaction has ended. */
const freeSeq = async (tx: Transaction<Database>, from: Milliseconds): Promise<number> => {
  await holdAlone(tx, `marks of ${String(Math.floor(from))}`);
  const [first, end] = [firstSeq(from), firstSeq(from + 1)];
  const newest = await tx.selectFrom('marks').select('seq').where('seq', '>=', first).where('seq', '<', end).orderBy('seq', 'desc').limit(1).executeTakeFirst();
  if (newest === undefined) return first;
  if (newest.seq + 1 < end) return newest.seq + 1;
  throw new MediaError('RESOURCE_EXHAUSTED', 'Too many marks begin in this millisecond; begin it a little earlier or later.', { reason: 'TOO_MANY_MARKS' });
};

const writeTags = async (tx: Transaction<Database>, id: string, tags: readonly string[], seq: number): Promise<void> => {
  await tx.deleteFrom('mark_tags').where('mark_id', '=', id).execute();
  const rows = tags.map((tag): MarkTagsTable => ({ mark_id: id, tag, seq }));
  if (rows.length > 0) await tx.insertInto('mark_tags').values(rows).execute();
};
