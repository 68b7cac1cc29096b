import { sql } from 'kysely';
import type { CompiledQuery, Kysely } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TimelineStore } from '../../control-api/detections/timeline-store.ts';
import { readTimeline } from '../../control-api/detections/timeline-reader.ts';
import { MarkService } from '../../control-api/marks/service.ts';
import { RecordingSearch } from '../../control-api/recordings/search.ts';
import type { HitPage, MarkSearch } from '../../control-api/recordings/search.ts';
import type { SightingPosition } from '../../control-api/recordings/search-store.ts';
import { RecordingStore } from '../../control-api/recordings/store.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import { openDatabase } from '../../platform/database/open.ts';
import type { Database } from '../../platform/database/schema.ts';
import { SEGMENT_MS, fillIndex, markOf } from '../support/large-index.ts';

const SIZE = { cameras: 10, segments: 2_000, sightings: 1_000, detections: 20, marks: 5_000, until: Date.parse('2026-11-28T00:00:00.000Z') };
const MARKS = Array.from({ length: SIZE.marks }, (_, i) => markOf(i, SIZE));
const BEGIN = SIZE.until - SIZE.segments * SEGMENT_MS;

describe('search in a large index', () => {
  let db: Kysely<Database>;
  let search: RecordingSearch;
  let marks: MarkService;
  const asked: CompiledQuery[] = [];
  beforeAll(async () => {
    db = await openDatabase(':memory:');
    await fillIndex(db, SIZE);
    marks = new MarkService(db, new FakeClock(SIZE.until));
    search = new RecordingSearch(db, marks);
    const executor = db.getExecutor();
    const execute = executor.executeQuery.bind(executor);
    executor.executeQuery = (query, ...rest) => { asked.push(query); return execute(query, ...rest); };
  });
  afterAll(async () => { await db.destroy(); });

  const all = async <Position>(page: (before: Position | undefined) => Promise<HitPage<Position>>) => {
    const found = [];
    let before: Position | undefined;
    for (;;) {
      const { hits, next } = await page(before);
      found.push(...hits);
      if (next === null) return found;
      before = next;
    }
  };
  const found = async (filter: MarkSearch) => (await all<number>((before) => search.byMarks(filter, before, 100))).map(({ mark }) => mark?.id);
  const expected = (of: (mark: (typeof MARKS)[number]) => boolean) => MARKS.filter(of).sort((a, b) => b.seq - a.seq).map(({ id }) => id);

  test('[REC-6] the generated rows are as many as asked for, and its sightings are those of its detections', async () => {
    const count = async (table: 'segments' | 'detections' | 'sightings') => (await db.selectFrom(table).select((e) => e.fn.countAll<number>().as('n')).executeTakeFirstOrThrow()).n;
    expect([await count('segments'), await count('detections'), await count('sightings')]).toEqual([20_000, 200_000, 10_000]);
    const { rows } = await sql<{ n: number }>`select count(*) as n from sightings s where s.count <> (select count(*) from detections d where d.camera_id = s.camera_id and d.class_name = s.class_name and d.captured_at_ms between s.first_ms and s.last_ms)`.execute(db);
    expect(rows).toEqual([{ n: 0 }]);
  });

  test('[REC-6] every combination finds what it should among thousands, in pages', async () => {
    expect(await found({ work_order_id: 'WO-77' })).toEqual(expected((mark) => mark.work_order_id === 'WO-77'));
    expect(await found({ inspection_result: 'NG', machine_number: 'M0' })).toEqual(expected((mark) => mark.inspection_result === 'NG' && mark.machine_number === 'M0'));
    expect(await found({ inspection_result: 'NG', tags: ['rework', 'shift-2'], cameras: ['cell-0'] })).toEqual(expected((mark) => mark.inspection_result === 'NG' && mark.tags.includes('shift-2') && mark.camera_id === 'cell-0'));
    const [from, to] = [BEGIN + 3_600_000, BEGIN + 2 * 3_600_000];
    expect(await found({ q: '検', product_type: 'HX-7', from, to })).toEqual(expected((mark) => mark.product_type === 'HX-7' && mark.from_ms < to && mark.to_ms > from && /検/.test(`${mark.title ?? ''}${mark.note ?? ''}`)));
    const cups = await all<SightingPosition>((before) => search.bySightings({ cameras: ['cell-3', 'cell-4'], from, to }, { className: 'scratch', minCount: 20, minAtOnce: undefined, minConfidence: 0.8 }, before, 50));
    const { rows } = await sql<{ n: number }>`select count(*) as n from sightings where camera_id in ('cell-3', 'cell-4') and class_name = 'scratch' and max_confidence >= 0.8 and first_ms < ${to} and last_ms >= ${from}`.execute(db);
    expect(cups.length).toBe(rows[0]?.n);
    expect(cups.length).toBeGreaterThan(10);
  });

  test('[REC-6] the time line of a camera counts what there is, exactly where it is little and as a sum where it is much', async () => {
    const timeline = new TimelineStore(db);
    const count = async (from: number, to: number) => (await db.selectFrom('detections').select((e) => e.fn.countAll<number>().as('n')).where('camera_id', '=', 'cell-1').where('captured_at_ms', '>=', from).where('captured_at_ms', '<', to).executeTakeFirstOrThrow()).n;
    const [from, to] = [BEGIN + 3_600_000, BEGIN + 2 * 3_600_000];
    const hour = await readTimeline(timeline, 'cell-1', undefined, { from, to, count: 180 });
    expect([hour.exact, hour.lanes.reduce((sum, lane) => sum + lane.count, 0)]).toEqual([true, await count(from, to)]);
    // The whole index, and as much again of one more source: too much to be counted one by one.
    await db.insertInto('detections').columns(['camera_id', 'stream_epoch', 'rtp_timestamp', 'captured_at_ms', 'sequence', 'class_name', 'class_id', 'confidence', 'x', 'y', 'width', 'height', 'model', 'model_digest', 'analysis_id'])
      .expression((e) => e.selectFrom('detections').select(['camera_id', 'stream_epoch', 'rtp_timestamp', 'captured_at_ms', 'sequence', 'class_name', 'class_id', 'confidence', 'x', 'y', 'width', 'height', 'model', 'model_digest', sql<string>`'a-1'`.as('analysis_id')]).where('camera_id', '=', 'cell-1')).execute();
    const all = await readTimeline(timeline, 'cell-1', undefined, { from: BEGIN, to: SIZE.until, count: 100 });
    await db.deleteFrom('detections').where('analysis_id', 'is not', null).execute();
    expect([all.exact, all.lanes.reduce((sum, lane) => sum + lane.count, 0)]).toEqual([false, await count(BEGIN, SIZE.until)]);
    expect(all.lanes.find(({ className }) => className === 'person')?.atOnce.every((each) => each === 1)).toBe(true);
  });

  test('[REC-6] no search, and nothing that is asked every second, reads a whole table or sorts more than its page', async () => {
    asked.length = 0;
    const runs = new RecordingStore(db);
    const [from, to] = [BEGIN + 3_600_000, BEGIN + 2 * 3_600_000];
    const seen = { className: 'dent', minCount: 2, minAtOnce: undefined, minConfidence: 0.9 };
    for (const filter of [
      { work_order_id: 'WO-7', from, to, inspection_result: 'OK' }, { product_type: 'HX-1', machine_number: 'M1', inspection_result: 'NG' }, { tags: ['rework'], cameras: ['cell-1'], production_date: '2026-11-27' }, { q: 'scratch cell', from, to },
      { q: 'scratch', product_id: 'P-7' }, { cameras: ['cell-1'], kinds: ['link'] }, { cameras: ['cell-1', 'cell-2'], from, to }, { seen, tags: ['shift-1'] }, { seen, from, to, cameras: ['cell-2'] },
    ] satisfies MarkSearch[]) await search.byMarks(filter, undefined, 20);
    await search.bySightings({ from, to }, { ...seen, source: 'analysis' }, undefined, 20);
    for (const filter of [{}, { from, to }, { cameras: ['cell-1'], from, to }, { cameras: ['cell-1', 'cell-2'] }]) await search.bySightings(filter, seen, [to, 'cell-5', ''], 20);
    await runs.recordings({ cameras: ['cell-1', 'cell-2'], from, to }, undefined, 20);
    const timeline = new TimelineStore(db);
    for (const range of [{ from, to: from + 600_000 }, { from: BEGIN, to: SIZE.until }]) for (const className of [undefined, 'dent']) await readTimeline(timeline, 'cell-1', className, { ...range, count: 200 });
    const position = { class_name: 'dent', analysed_by: '', first_ms: from, last_ms: from, count: 1, at_once: 1, max_confidence: 1 };
    for (const className of [undefined, 'dent']) await timeline.sightings({ camera: 'cell-1', from, to, className }, position, 100);
    await marks.keeper('cell-1', { from, to });
    await marks.kept();
    const queries = asked.splice(0);
    expect(queries.length).toBeGreaterThan(20);
    for (const { sql: text, parameters } of queries) {
      const plan = await db.executeQuery<{ detail: string }>({ ...sql`explain`.compile(db), sql: `explain query plan ${text}`, parameters });
      for (const { detail } of plan.rows) {
        // Whole tables, and indexes from one end to the other; those of what stays on the disk are few.
        expect(detail, text).not.toMatch(/^SCAN (segments|detections|sightings|marks|mark_tags|[gcsmt])\b(?! USING INDEX marks_on_disk)/);
        expect(detail, text).not.toMatch(/AUTOMATIC/);
      }
      if (/from marks m|from mark_|from "sightings"/.test(text) && !/group by/.test(text)) expect(plan.rows.map(({ detail }) => detail).join('\n'), text).not.toContain('TEMP B-TREE FOR ORDER BY');
    }
  });
});
