import type { Kysely } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import type { Database } from '../../platform/database/schema.ts';
import type { Mark, MarkFilter, MarkPlace, MarkService, SeenInMark } from '../marks/service.ts';
import { SEEN_LIVE } from '../sightings.ts';
import type { Stretch } from './recorded-query.ts';
import { SearchStore } from './search-store.ts';
import type { SightingPosition, SightingRow } from './search-store.ts';
import type { RecordingRow } from './store.ts';

export interface Hit extends RecordingRow {
  readonly mark: Mark | null;
  /** How often the class asked for was seen in it. */
  readonly seen: SeenInMark | null;
}

/** A class that was seen in a hit. */
export interface SeenFilter {
  readonly className: string;
  /** Detections. */
  readonly minCount: number | undefined;
  /** In one picture. */
  readonly minAtOnce: number | undefined;
  readonly minConfidence: number | undefined;
  /** Default: both, each by itself. */
  readonly source?: 'live' | 'analysis' | undefined;
}

/** Of a mark's range: in all sightings of one source that overlap it together; live, or a model of analyses. */
export interface MarkSearch extends MarkFilter {
  readonly seen?: SeenFilter | undefined;
}

export interface HitPage<Position> {
  readonly hits: readonly Hit[];
  /** Where the next page begins; null: there is none. */
  readonly next: Position | null;
}

/** Candidates looked at for one page; after that it ends, however few of them are hits. */
const MAX_CANDIDATES = 2_000;
/** Candidates of one statement. */
const BATCH = 400;

/** Finds recordings by what was said of them and by what was seen in them [REC-6]. */
export class RecordingSearch {
  readonly #store: SearchStore;
  readonly #marks: MarkService;

  constructor(db: Kysely<Database>, marks: MarkService) {
    this.#store = new SearchStore(db);
    this.#marks = marks;
  }

  /** Marked ranges, as far as they are recorded; of a range with a break in it from the first to the last of it. */
  byMarks(filter: MarkSearch, before: number | undefined, limit: number): Promise<HitPage<number>> {
    const { seen: wanted } = filter;
    return collect<MarkPlace, number>(limit, before, {
      next: (position, count) => this.#marks.places(filter, position, count),
      position: (place) => place.seq,
      hits: async (places) => {
        const seen = wanted === undefined ? undefined : await this.#marks.seen(places, wanted.className);
        const best = new Map(wanted === undefined ? [] : places.flatMap(({ id }) => { const one = bestOf(seen?.get(id) ?? [], wanted); return one === undefined ? [] : [[id, one] as const]; }));
        const left = wanted === undefined ? places : places.filter(({ id }) => best.has(id));
        const recorded = await this.#store.recorded(left.map((place): Stretch => ({ camera: place.camera_id, from: place.from_ms, to: place.to_ms })));
        const rows = new Map(left.flatMap(({ id }, i) => { const row = recorded.get(i); return row === undefined ? [] : [[id, row] as const]; }));
        const marks = await this.#marks.some([...rows.keys()]);
        return places.map(({ id }) => {
          const [row, mark] = [rows.get(id), marks.get(id)];
          return row === undefined || mark === undefined ? undefined : { ...row, start_ms: Math.max(row.start_ms, mark.from_ms), end_ms: Math.min(row.end_ms, mark.to_ms), mark, seen: best.get(id) ?? null };
        });
      },
    });
  }

  /** The segments in which a class was seen without a long break. */
  bySightings(filter: { readonly cameras?: readonly string[] | undefined; readonly from?: Milliseconds | undefined; readonly to?: Milliseconds | undefined }, seen: SeenFilter, before: SightingPosition | undefined, limit: number): Promise<HitPage<SightingPosition>> {
    return collect<SightingRow, SightingPosition>(limit, before, {
      next: (position, count) => this.#store.sightings(filter, seen, position, count),
      position: (row) => [row.first_ms, row.camera_id, row.analysed_by],
      hits: async (rows) => {
        // A segment ends where the next one begins: what was seen in that very moment is in the next one.
        const recorded = await this.#store.recorded(rows.map((row): Stretch => ({ camera: row.camera_id, from: row.first_ms, to: row.last_ms + 0.001 })));
        return rows.map((row, i) => {
          const found = recorded.get(i);
          return found === undefined ? undefined : { ...found, mark: null, seen: { className: row.class_name, count: row.count, atOnce: row.at_once, maxConfidence: row.max_confidence, analysedBy: row.analysed_by === SEEN_LIVE ? null : row.analysed_by } };
        });
      },
    });
  }
}

const isEnough = (seen: SeenInMark, { minCount = 1, minAtOnce = 0, minConfidence = 0, source }: SeenFilter): boolean =>
  seen.count >= minCount && seen.atOnce >= minAtOnce && seen.maxConfidence >= minConfidence && (source === undefined || (source === 'live') === (seen.analysedBy === null));

/** Of the sources that say enough the one that says the most; each looks at the same objects, so nothing is added up. */
const bestOf = (sources: readonly SeenInMark[], wanted: SeenFilter): SeenInMark | undefined =>
  sources.filter((seen) => isEnough(seen, wanted)).sort((a, b) => b.count - a.count || ((a.analysedBy ?? SEEN_LIVE) < (b.analysedBy ?? SEEN_LIVE) ? -1 : 1))[0];

interface Candidates<Row, Position> {
  readonly next: (position: Position | undefined, count: number) => Promise<readonly Row[]>;
  readonly position: (row: Row) => Position;
  /** For each row its hit; undefined: it is none. */
  readonly hits: (rows: readonly Row[]) => Promise<readonly (Hit | undefined)[]>;
}

/** A page of hits. Its last candidate is a hit, or the last of as many as one page looks at. */
const collect = async <Row, Position>(limit: number, before: Position | undefined, { next, position, hits }: Candidates<Row, Position>): Promise<HitPage<Position>> => {
  const found: Hit[] = [];
  let at = before;
  for (let seen = 0; seen < MAX_CANDIDATES; ) {
    const count = Math.min(BATCH, seen === 0 ? limit + 1 : BATCH);
    const rows = await next(at, count);
    const resolved = await hits(rows);
    for (const [i, row] of rows.entries()) {
      const hit = resolved[i];
      // One more than asked for: so there is another page, and it begins behind the one before.
      if (hit !== undefined && found.length === limit) return { hits: found, next: at ?? null };
      if (hit !== undefined) found.push(hit);
      at = position(row);
    }
    if (rows.length < count) return { hits: found, next: null };
    seen += rows.length;
  }
  return { hits: found, next: at ?? null };
};
