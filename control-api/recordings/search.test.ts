import fc from 'fast-check';
import { sql } from 'kysely';
import type { Insertable, Kysely } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { FakeClock } from '../../core/testing-clock.ts';
import { dialectOf } from '../../platform/database/dialect.ts';
import type { Database, SegmentsTable } from '../../platform/database/schema.ts';
import { freshDatabase } from '../../platform/testing/fresh-database.ts';
import { PRODUCT_FIELDS, markQuery } from '../marks/filter.ts';
import type { MarkFilter } from '../marks/filter.ts';
import { MarkService } from '../marks/service.ts';
import type { Mark } from '../marks/service.ts';
import { textQuery } from '../marks/text-index.ts';
import { RecordingSearch } from './search.ts';
import type { SightingPosition } from './search-store.ts';
import type { Hit, HitPage, MarkSearch, SeenFilter } from './search.ts';

const NOW = Date.parse('2026-11-24T12:00:00.000Z');
const CAMERAS = ['cell-1', 'cell-2', 'dock'] as const;
const NAMES: Readonly<Record<string, string>> = { 'cell-1': 'Press Nord', 'cell-2': 'Press Süd', dock: 'Laderampe' };

const segment = (camera: string, from: number, to: number, more: Partial<Insertable<SegmentsTable>> = {}): Insertable<SegmentsTable> => ({
  id: `${camera}/${String(from)}`, camera_id: camera, session_id: `s-${camera}`, epoch: 1, start_ms: NOW + from * 1000, end_ms: NOW + to * 1000, bytes: 100, sha256: null, open: 0, tracks: '[]', gap_before: null, gap_cause: null,
  expired_at: null, prev_sha256: null, archived_at: null, ...more,
});
const sighting = (camera: string, name: string, from: number, to: number, count: number, confidence: number, analysed_by = '') => ({
  camera_id: camera, class_name: name, first_ms: NOW + from * 1000, last_ms: NOW + to * 1000, count, at_once: Math.ceil(count / 3), max_confidence: confidence, analysed_by,
});

describe('search', () => {
  let db: Kysely<Database>;
  let marks: MarkService;
  let search: RecordingSearch;
  beforeAll(async () => {
    db = await freshDatabase();
    marks = new MarkService(db, new FakeClock(NOW));
    search = new RecordingSearch(db, marks);
    for (const id of CAMERAS) await db.insertInto('cameras').values({ id, name: NAMES[id] ?? '', source: '{}', pipelines: '[]', recording: '{}', created_at: 1, updated_at: 1, deleted_at: id === 'dock' ? 1 : null, extra: '{}' }).execute();
  });
  const clear = async () => {
    for (const table of ['segments', 'sightings', 'marks'] as const) await db.deleteFrom(table).execute();
    await sql`delete from mark_words`.execute(db);
  };
  beforeEach(clear);
  afterAll(async () => { await db.destroy(); });

  const all = async <Position>(page: (before: Position | undefined) => Promise<HitPage<Position>>, limit: number): Promise<Hit[]> => {
    const found: Hit[] = [];
    let before: Position | undefined;
    for (;;) {
      const { hits, next } = await page(before);
      expect(hits.length).toBeLessThanOrEqual(limit);
      found.push(...hits);
      if (next === null) return found;
      before = next;
    }
  };

  const camera = fc.constantFrom(...CAMERAS);
  /** Segments in order, some missing, some given up. */
  const steps = fc.array(fc.record({ seconds: fc.integer({ min: 1, max: 8 }), gap: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 30 })), expired: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.boolean()) }), { maxLength: 14, size: 'max' });
  const rowsOf = (of: string, list: readonly { readonly seconds: number; readonly gap: number; readonly expired: boolean }[]) => {
    let at = -100;
    return list.map(({ seconds, gap, expired }) => {
      const from = at + gap;
      at = from + seconds;
      return segment(of, from, at, { expired_at: expired ? 1 : null, open: expired ? 0 : 1, bytes: seconds });
    });
  };
  const word = fc.constantFrom('scratch', 'Dent', 'nord', '検査', 'WO-1', 'WO-12');
  const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
  const product = {
    inspection_id: optional(fc.constantFrom('I-1', 'I-2')), product_id: optional(fc.constantFrom('P-1', 'P-2')), work_order_id: optional(fc.constantFrom('WO-1', 'WO-12')), instruction_id: optional(fc.constantFrom('N-1', 'N-2')),
    production_date: optional(fc.constantFrom('2026-11-23', '2026-11-24')), machine_number: optional(fc.constantFrom('M1', 'M2')), product_type: optional(fc.constantFrom('HX', 'HY')), inspection_result: optional(fc.constantFrom('OK', 'NG')),
  };
  const tags = fc.uniqueArray(fc.constantFrom('rework', 'night', 'Dent'), { maxLength: 3 });
  const mark = fc.record({
    ...product, camera, from: fc.integer({ min: -120, max: 0 }), length: fc.integer({ min: 1, max: 60 }), kind: fc.constantFrom('pin', 'link', 'clip'), monthly_sequence: optional(fc.integer({ min: 1, max: 2 })),
    title: optional(fc.array(word, { minLength: 1, maxLength: 3 }).map((words) => words.join(' '))), tags,
  });
  const seenRow = fc.record({ camera, name: fc.constantFrom('cup', 'person'), from: fc.integer({ min: -120, max: 0 }), length: fc.integer({ min: 0, max: 20 }), count: fc.integer({ min: 1, max: 9 }), confidence: fc.constantFrom(0.25, 0.5, 0.75), by: fc.constantFrom('', 'small', 'large') });
  /** Mostly few conditions at once: else nothing is ever found. */
  const rarely = <T>(arbitrary: fc.Arbitrary<T>) => fc.oneof({ weight: 11, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
  const seenFilter = fc.record({ className: fc.constantFrom('cup', 'person'), minCount: rarely(fc.integer({ min: 1, max: 12 })), minAtOnce: rarely(fc.integer({ min: 1, max: 3 })), minConfidence: rarely(fc.constantFrom(0.5, 0.75)), source: rarely(fc.constantFrom('live', 'analysis')) });
  const time = fc.integer({ min: -130, max: 10 }).map((s) => NOW + s * 1000);
  const bounds = { cameras: rarely(fc.subarray([...CAMERAS])), from: rarely(time), to: rarely(time) };
  const filter = fc.record({
    ...bounds, ...(Object.fromEntries(Object.entries(product).map(([name, values]) => [name, rarely(values)])) as typeof product), kinds: rarely(fc.subarray(['pin', 'link', 'clip'], { minLength: 1 })), monthly_sequence: rarely(fc.integer({ min: 1, max: 2 })),
    production_date_from: rarely(fc.constantFrom('2026-11-23', '2026-11-24')), production_date_to: rarely(fc.constantFrom('2026-11-23', '2026-11-24')), tags: rarely(tags),
    q: rarely(fc.constantFrom('scratch', 'scr dent', 'nord', 'press', '検', 'wo-1', 'WO-12 scratch', 'lade', 'cell-2', 'ng')), seen: rarely(seenFilter),
  });

  interface Row { readonly camera: string; readonly from: number; readonly to: number }
  const recordedOf = (rows: readonly Insertable<SegmentsTable>[], { camera: of, from, to }: Row, closed = false) =>
    rows.filter((row) => row.expired_at === null && row.camera_id === of && row.end_ms > from && (closed ? row.start_ms <= to : row.start_ms < to));
  const known = <T extends object>(members: T): T => Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as T;

  /** Is the part of a query in one of the mark's texts, or in the name of its camera? By looking at them. */
  const says = (one: Mark, q: string): boolean => {
    const texts = [one.title, ...one.tags, ...PRODUCT_FIELDS.map((field) => one[field]), one.monthly_sequence, one.camera_id, NAMES[one.camera_id]].filter((text) => text !== null && text !== undefined).map((text) => String(text).toLowerCase());
    const has = (text: string, part: string): boolean => (/[^\x20-\x7e]/.test(part) ? text.includes(part) : new RegExp(`(^|[^a-z0-9])${part}`).test(text));
    return q.toLowerCase().split(' ').every((part) => texts.some((text) => has(text, part)));
  };
  const overlap = (from: number | undefined, to: number | undefined, row: { from: number; to: number }): boolean => (to === undefined || row.from < to) && (from === undefined || row.to > from);

  test('[REC-6] whatever is asked for, the marks found are those that looking at each finds, once each, in whatever pages, as far as they are recorded', async () => {
    const stats = { found: 0, runs: 0 };
    await fc.assert(fc.asyncProperty(fc.tuple(steps, steps, steps), fc.array(mark, { maxLength: 14, size: 'max' }), fc.array(seenRow, { maxLength: 10, size: 'max' }), filter, fc.integer({ min: 1, max: 4 }), async (perCamera, given, seenRows, asked, limit) => {
      await clear();
      const rows = perCamera.flatMap((list, i) => rowsOf(CAMERAS[i] ?? '', list));
      if (rows.length > 0) await db.insertInto('segments').values(rows).execute();
      const sightings = new Map(seenRows.map((row) => [`${row.camera} ${row.name} ${String(row.from)} ${row.by}`, sighting(row.camera, row.name, row.from, row.from + row.length, row.count, row.confidence, row.by)]));
      if (sightings.size > 0) await db.insertInto('sightings').values([...sightings.values()]).execute();
      const stored: Mark[] = [];
      for (const { camera: of, from, length, ...content } of given) stored.push(await marks.create(of, known({ ...content, from: NOW + from * 1000, to: NOW + (from + length) * 1000 }), null));

      const seenOf = (one: Mark) => [...sightings.values()].filter((row) => row.camera_id === one.camera_id && row.class_name === asked.seen?.className && row.first_ms < one.to_ms && row.last_ms >= one.from_ms);
      /** What each source by itself says, as far as it is enough: live, or a model. */
      const enoughOf = (one: Mark, { minCount = 1, minAtOnce = 0, minConfidence = 0, source }: SeenFilter) =>
        [...Map.groupBy(seenOf(one), (row) => row.analysed_by)]
          .map(([by, seen]) => ({
            className: asked.seen?.className, count: seen.reduce((sum, row) => sum + row.count, 0), atOnce: Math.max(...seen.map((row) => row.at_once)), maxConfidence: Math.max(...seen.map((row) => row.max_confidence)),
            analysedBy: by === '' ? null : by,
          }))
          .filter((seen) => seen.count >= minCount && seen.atOnce >= minAtOnce && seen.maxConfidence >= minConfidence && (source === undefined || source === (seen.analysedBy === null ? 'live' : 'analysis')));
      const wanted = stored.filter((one) => {
        if (!overlap(asked.from, asked.to, { from: one.from_ms, to: one.to_ms }) || recordedOf(rows, { camera: one.camera_id, from: one.from_ms, to: one.to_ms }).length === 0) return false;
        if (asked.cameras?.includes(one.camera_id as 'dock') === false || asked.kinds?.includes(one.kind) === false || PRODUCT_FIELDS.some((field) => asked[field] !== undefined && asked[field] !== one[field])) return false;
        if (asked.monthly_sequence !== undefined && asked.monthly_sequence !== one.monthly_sequence) return false;
        if (asked.production_date_from !== undefined && (one.production_date ?? '') < asked.production_date_from) return false;
        if (asked.production_date_to !== undefined && (one.production_date === null || one.production_date > asked.production_date_to)) return false;
        if (asked.tags?.some((tag) => !one.tags.includes(tag)) === true || (asked.q !== undefined && !says(one, asked.q))) return false;
        return asked.seen === undefined || enoughOf(one, asked.seen).length > 0;
      }).sort((a, b) => b.seq - a.seq);

      const found = await all<number>((before) => search.byMarks(asked, before, limit), limit);
      expect(found.map((hit) => hit.mark?.id)).toEqual(wanted.map(({ id }) => id));
      for (const [i, hit] of found.entries()) {
        const one = wanted[i]!;
        const parts = recordedOf(rows, { camera: one.camera_id, from: one.from_ms, to: one.to_ms });
        expect(hit).toMatchObject({
          camera_id: one.camera_id, start_ms: Math.max(one.from_ms, parts[0]!.start_ms), end_ms: Math.min(one.to_ms, parts.at(-1)!.end_ms), segments: parts.length, bytes: parts.reduce((sum, part) => sum + part.bytes, 0),
          session_id: `s-${one.camera_id}`, open: 1, mark: one,
        });
        const enough = asked.seen === undefined ? [null] : enoughOf(one, asked.seen);
        expect(enough).toContainEqual(hit.seen);
        expect(hit.seen?.count).toBe(asked.seen === undefined ? undefined : Math.max(...enough.map((seen) => seen?.count ?? 0)));
      }
      stats.runs++;
      stats.found += found.length;
    }), { numRuns: dialectOf(db).shared ? 60 : 250 });
    // The filters leave something to find.
    expect(stats.found).toBeGreaterThan(stats.runs / 4);
  });

  test('[REC-6] a class is found in the segments in which it was seen, once per sighting, in whatever pages', async () => {
    const stats = { found: 0, runs: 0 };
    await fc.assert(fc.asyncProperty(fc.tuple(steps, steps, steps), fc.array(seenRow, { maxLength: 20, size: 'max' }), fc.record(bounds), seenFilter, fc.integer({ min: 1, max: 4 }), async (perCamera, seenRows, asked, seen, limit) => {
      await clear();
      const rows = perCamera.flatMap((list, i) => rowsOf(CAMERAS[i] ?? '', list));
      if (rows.length > 0) await db.insertInto('segments').values(rows).execute();
      const sightings = [...new Map(seenRows.map((row) => [`${row.camera} ${row.name} ${String(row.from)} ${row.by}`, sighting(row.camera, row.name, row.from, row.from + row.length, row.count, row.confidence, row.by)])).values()];
      if (sightings.length > 0) await db.insertInto('sightings').values(sightings).execute();
      const partsOf = (row: (typeof sightings)[number]) => recordedOf(rows, { camera: row.camera_id, from: row.first_ms, to: row.last_ms }, true);
      const wanted = sightings
        .filter((row) => row.class_name === seen.className && (asked.cameras === undefined || asked.cameras.includes(row.camera_id as 'dock')) && (asked.to === undefined || row.first_ms < asked.to) && (asked.from === undefined || row.last_ms >= asked.from))
        .filter((row) => row.count >= (seen.minCount ?? 0) && row.at_once >= (seen.minAtOnce ?? 0) && row.max_confidence >= (seen.minConfidence ?? 0) && (seen.source === undefined || (seen.source === 'live') === (row.analysed_by === '')) && partsOf(row).length > 0)
        .sort((a, b) => b.first_ms - a.first_ms || (a.camera_id === b.camera_id ? (a.analysed_by < b.analysed_by ? 1 : -1) : a.camera_id < b.camera_id ? 1 : -1));
      const found = await all<SightingPosition>((before) => search.bySightings(asked, seen, before, limit), limit);
      expect(found).toMatchObject(wanted.map((row) => {
        const parts = partsOf(row);
        return {
          camera_id: row.camera_id, start_ms: parts[0]?.start_ms, end_ms: parts.at(-1)?.end_ms, segments: parts.length, mark: null,
          seen: { className: row.class_name, count: row.count, atOnce: row.at_once, maxConfidence: row.max_confidence, analysedBy: row.analysed_by === '' ? null : row.analysed_by },
        };
      }));
      stats.runs++;
      stats.found += found.length;
    }), { numRuns: dialectOf(db).shared ? 60 : 250 });
    expect(stats.found).toBeGreaterThan(stats.runs / 2);
  });

  test('a page looks at no more than it may, and the next one goes on from there', async () => {
    const rows = Array.from({ length: 9_000 }, (_, i) => sighting('dock', 'cup', -20_000 + i, -20_000 + i, 1, 0.5));
    for (let i = 0; i < rows.length; i += 500) await db.insertInto('sightings').values(rows.slice(i, i + 500)).execute();
    await db.insertInto('segments').values(segment('dock', -20_001, -19_999.5)).execute();
    const seen: SeenFilter = { className: 'cup', minCount: undefined, minAtOnce: undefined, minConfidence: undefined };
    const first = await search.bySightings({}, seen, undefined, 10);
    expect(first.hits).toEqual([]);
    expect(first.next?.[0]).toBeGreaterThan(rows[6_000]!.first_ms);
    expect((await all<SightingPosition>((before) => search.bySightings({}, seen, before, 10), 10)).map((hit) => hit.seen?.count)).toEqual([1]);
  });

  test('a mark whose words, tags or times change is found by the new ones, and after it is removed by none', async () => {
    await db.insertInto('segments').values([segment('dock', -100, -90), segment('dock', -50, -40)]).execute();
    const { id } = await marks.create('dock', { kind: 'link', from: NOW - 100_000, to: NOW - 90_000, title: 'first words', tags: ['old'] }, null);
    const found = async (asked: MarkSearch) => (await search.byMarks(asked, undefined, 10)).hits.map((hit) => hit.start_ms - NOW);
    expect([await found({ q: 'first' }), await found({ tags: ['old'] }), await found({ q: 'ladera' })]).toEqual([[-100_000], [-100_000], [-100_000]]);
    await marks.patch(id, { title: 'second', tags: ['new'], from: NOW - 50_000, to: NOW - 45_000 });
    expect([await found({ q: 'first' }), await found({ tags: ['old'] }), await found({ q: 'SECOND' }), await found({ tags: ['new'] }), await found({ to: NOW - 60_000 })]).toEqual([[], [], [-50_000], [-50_000], []]);
    await db.updateTable('cameras').set({ name: 'Halle 7' }).where('id', '=', 'dock').execute();
    expect([await found({ q: 'laderampe' }), await found({ q: 'halle second' })]).toEqual([[], [-50_000]]);
    await marks.remove(id);
    expect([await found({ q: 'second' }), await found({ tags: ['new'] })]).toEqual([[], []]);
    expect((await sql`select 1 from mark_words`.execute(db)).rows).toEqual([]);
    await db.updateTable('cameras').set({ name: 'Laderampe' }).where('id', '=', 'dock').execute();
  });

  test('no text, however odd, breaks a search', async () => {
    await db.insertInto('segments').values(segment('dock', -100, -90)).execute();
    await fc.assert(fc.asyncProperty(fc.string({ unit: 'grapheme', maxLength: 60 }), fc.string({ unit: 'grapheme-composite', maxLength: 60 }), async (title, q) => {
      // A NUL in a text is refused by the API.
      await marks.create('dock', { kind: 'link', from: NOW - 100_000, to: NOW - 90_000, ...(title === '' ? {} : { title: title.replaceAll('\0', '') }) }, null);
      if (/[a-z0-9]/i.test(title)) expect((await search.byMarks({ q: title.split(/\s+/u).find((part) => /[a-z0-9]/i.test(part)) }, undefined, 1)).hits).toHaveLength(1);
      await search.byMarks({ q }, undefined, 1);
      await db.deleteFrom('marks').execute();
    }), { numRuns: dialectOf(db).shared ? 40 : 150 });
  });

  test('SQLite reads marks in order from the index that finds the fewest of them, and sorts only those of a few days', async () => {
    if (dialectOf(db).name !== 'sqlite') return;
    const plan = async (asked: MarkFilter) => {
      const query = markQuery(dialectOf(db), asked, asked.q === undefined ? undefined : await textQuery(db, asked.q));
      const { rows } = await sql<{ detail: string }>`explain query plan select m.* from ${query.from} where ${query.where} and ${query.seq} < ${1e15} order by ${query.seq} desc limit 10`.execute(db);
      const steps = rows.map(({ detail }) => detail);
      expect(steps.join('\n').includes('TEMP B-TREE')).toBe(asked.production_date_from !== undefined);
      return steps[0] ?? '';
    };
    expect(await plan({})).toContain('marks_seq');
    expect(await plan({ from: 1, to: 2 })).toContain('marks_seq');
    expect(await plan({ cameras: ['dock'] })).toContain('marks_camera');
    expect(await plan({ cameras: ['dock', 'cell-1'], work_order_id: 'a', product_type: 'b', inspection_result: 'NG' })).toContain('marks_work_order_id');
    expect(await plan({ production_date_from: '2026-11-01', production_date_to: '2026-11-30', cameras: [] })).toContain('marks_production_date');
    expect(await plan({ machine_number: 'M' })).toContain('marks_machine_number');
    expect(await plan({ tags: ['x'], from: 1 })).toContain('mark_tags_tag');
    expect(await plan({ inspection_result: 'NG', tags: ['x', 'y'], cameras: ['dock', 'cell-1'] })).toContain('VIRTUAL TABLE');
    expect(await plan({ inspection_result: 'NG', q: 'x y' })).toContain('VIRTUAL TABLE');
    expect(await plan({ product_id: 'P', q: 'x y' })).toContain('marks_product_id');
  });
});
