import fc from 'fast-check';
import { sql } from 'kysely';
import type { CompiledQuery, Kysely } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FakeClock } from '../../core/testing-clock.ts';
import { dialectOf } from '../../platform/database/dialect.ts';
import type { Database } from '../../platform/database/schema.ts';
import { freshDatabase } from '../../platform/testing/fresh-database.ts';
import { DetectionStore } from './store.ts';
import { DetectionSweep } from './sweep.ts';

/** Whole hours, so that a sweep is of everything. */
const HOUR = 3_600_000;
const T0 = 1_750_000_000_000;

let db: Kysely<Database>;
beforeAll(async () => { db = await freshDatabase(); });
afterAll(async () => { await db.destroy(); });

const clear = async (): Promise<void> => { for (const table of ['detections', 'sightings', 'marks'] as const) await db.deleteFrom(table).execute(); };
const detection = (camera: string, at: number, analysis: string | null = null) => ({
  camera_id: camera, stream_epoch: 1, rtp_timestamp: 1, captured_at_ms: T0 + at, sequence: at, class_name: 'cup', class_id: 0, confidence: 0.5, x: 0, y: 0, width: 1, height: 1, track_id: null, model: 'm', model_digest: 'd', analysis_id: analysis,
});
const sighting = (camera: string, first: number, last: number, analysedBy = '') => ({ camera_id: camera, class_name: 'cup', first_ms: T0 + first, last_ms: T0 + last, count: 1, at_once: 1, max_confidence: 0.5, analysed_by: analysedBy });
const insert = async <Row>(rows: readonly Row[], into: (some: Row[]) => Promise<unknown>): Promise<void> => { for (let i = 0; i < rows.length; i += 500) await into(rows.slice(i, i + 500)); };
const addDetections = (rows: readonly ReturnType<typeof detection>[]) => insert(rows, (some) => db.insertInto('detections').values(some).execute());
const addSightings = (rows: readonly ReturnType<typeof sighting>[]) => insert(rows, (some) => db.insertInto('sightings').values(some).execute());
let marks = 0;
const mark = async (camera: string, from: number, to: number): Promise<string> => {
  const id = `mark-${String(marks++)}`;
  await db.insertInto('marks').values({ id, seq: marks, camera_id: camera, from_ms: T0 + from, to_ms: T0 + to, kind: 'link', archive: marks % 2 === 0 ? 1 : 0, created_at: 1 }).execute();
  return id;
};
const left = async () => ({
  detections: (await db.selectFrom('detections').selectAll().orderBy('camera_id').orderBy('captured_at_ms').execute()).map((row) => `${row.camera_id} ${String(row.captured_at_ms - T0)}${row.analysis_id ?? ''}`),
  sightings: (await db.selectFrom('sightings').selectAll().orderBy('camera_id').orderBy('first_ms').orderBy('analysed_by').execute()).map((row) => `${row.camera_id} ${String(row.first_ms - T0)}-${String(row.last_ms - T0)}${row.analysed_by}`),
});
/** A sweep at `T0` + `now` that keeps `retention`; steps of a pass. */
const sweepAt = (now: number, retention: number) => {
  const clock = new FakeClock(T0 + now);
  const sweep = new DetectionSweep(new DetectionStore(db), clock, retention);
  const pass = async (): Promise<number> => {
    for (let steps = 1; ; steps++) if (!(await sweep.step())) return steps;
  };
  return { clock, pass };
};

test('[REC-7] what was seen live in a marked range stays, what was seen elsewhere goes after its time; results of analyses are left alone', async () => {
  await clear();
  await addDetections([10, 20, 29, 30, 39, 40, 50, 60, 99, 100].flatMap((at) => [detection('a', at), detection('b', at), detection('a', at, ' job')]));
  await addSightings([sighting('a', 10, 20), sighting('a', 15, 30), sighting('a', 39, 50), sighting('a', 40, 59), sighting('a', 59, 60), sighting('a', 10, 20, ' model'), sighting('b', 90, 101), sighting('only', 1, 2)]);
  await mark('a', 30, 40);
  await mark('a', 60, 70);
  await mark('b', 0, 20);
  await mark('c', 0, 1_000);
  const { pass } = sweepAt(HOUR + 100, HOUR);
  await pass();
  const ofJob = (await db.selectFrom('detections').selectAll().where('analysis_id', 'is not', null).execute()).length;
  expect(ofJob).toBe(10);
  await db.deleteFrom('detections').where('analysis_id', 'is not', null).execute();
  expect(await left()).toEqual({
    detections: ['a 30', 'a 39', 'a 60', 'a 100', 'b 10', 'b 100'],
    // Those that reach into a mark, and the one that has not ended before the cutoff.
    sightings: ['a 10-20 model', 'a 15-30', 'a 39-50', 'a 59-60', 'b 90-101'],
  });
});

test('[REC-7] when a mark is removed, moved or made shorter, what it kept goes with the sweep of the next hour', async () => {
  await clear();
  await addDetections([10, 20, 30, 40].map((at) => detection('a', at)));
  await addSightings([sighting('a', 10, 20), sighting('a', 40, 45)]);
  const id = await mark('a', 0, 50);
  const { clock, pass } = sweepAt(2 * HOUR, HOUR);
  await pass();
  expect(await left()).toEqual({ detections: ['a 10', 'a 20', 'a 30', 'a 40'], sightings: ['a 10-20', 'a 40-45'] });
  await db.updateTable('marks').set({ from_ms: T0 + 21 }).where('id', '=', id).execute();
  await pass(); // of the newest alone
  expect((await left()).detections).toHaveLength(4);
  clock.advance(HOUR);
  await pass();
  expect(await left()).toEqual({ detections: ['a 30', 'a 40'], sightings: ['a 40-45'] });
  await db.deleteFrom('marks').execute();
  clock.advance(HOUR);
  await pass();
  expect(await left()).toEqual({ detections: [], sightings: [] });
});

test('between the hours each pass deletes what has become old since the one before, sightings that had not ended included', async () => {
  await clear();
  await addDetections([0, 60_000, 120_000].map((at) => detection('a', at)));
  await addSightings([sighting('a', 0, 60_000), sighting('a', 110_000, 120_000)]);
  await mark('a', -HOUR, 0);
  const { clock, pass } = sweepAt(HOUR + 30_000, HOUR);
  await pass();
  expect(await left()).toEqual({ detections: ['a 60000', 'a 120000'], sightings: ['a 0-60000', 'a 110000-120000'] });
  clock.advance(60_000);
  await pass();
  expect(await left()).toEqual({ detections: ['a 120000'], sightings: ['a 110000-120000'] });
  clock.advance(60_000);
  await pass();
  expect(await left()).toEqual({ detections: [], sightings: [] });
});

test('[REC-7] whatever marks there are, what is left is what a look at each of them says', async () => {
  const time = fc.integer({ min: 0, max: 120 });
  const span = fc.tuple(time, fc.integer({ min: 1, max: 30 })).map(([from, length]) => [from, from + length] as const);
  await fc.assert(fc.asyncProperty(fc.array(time, { maxLength: 30 }), fc.uniqueArray(span, { maxLength: 15, selector: ([from]) => from }), fc.array(span, { maxLength: 6 }), time, async (moments, seen, ranges, cutoff) => {
    await clear();
    await addDetections(moments.map((at) => detection('a', at)));
    await addSightings(seen.map(([first, last]) => sighting('a', first, last)));
    for (const [from, to] of ranges) await mark('a', from, to);
    await sweepAt(HOUR + cutoff, HOUR).pass();
    const kept = (first: number, last: number): boolean => last >= cutoff || ranges.some(([from, to]) => first < to && last >= from);
    expect(await left()).toEqual({
      detections: moments.toSorted((a, b) => a - b).filter((at) => kept(at, at)).map((at) => `a ${String(at)}`),
      sightings: seen.toSorted(([a], [b]) => a - b).filter(([first, last]) => kept(first, last)).map(([first, last]) => `a ${String(first)}-${String(last)}`),
    });
  }), { numRuns: dialectOf(db).shared ? 15 : 60 });
});

test('[REC-7] a pass takes as many steps as there is to delete, and as few looks at marks, however much these keep', async () => {
  await clear();
  // 2,000 marks apart, each keeps ten; between them there is one to delete each.
  await addDetections(Array.from({ length: 2_000 }, (_, i) => [...Array.from({ length: 10 }, (_, n) => detection('a', i * 100 + n)), detection('a', i * 100 + 50)]).flat());
  await insert(Array.from({ length: 2_000 }, (_, i) => i), (some) => db.insertInto('marks').values(some.map((i) => ({
    id: `m-${String(i)}`, seq: i, camera_id: 'a', from_ms: T0 + i * 100, to_ms: T0 + i * 100 + 50, kind: 'link' as const, archive: 1 as const, created_at: 1,
  }))).execute());
  const { clock, pass } = sweepAt(2 * HOUR, HOUR);
  expect(await pass()).toBeLessThanOrEqual(10);
  expect((await left()).detections).toHaveLength(20_000);
  clock.advance(60_000);
  expect(await pass()).toBeLessThanOrEqual(2); // nothing has become old
  clock.advance(HOUR);
  expect(await pass()).toBeLessThanOrEqual(6);
  expect((await left()).detections).toHaveLength(20_000);
});

test('SQLite finds what is to go by indexes of the very rows, not by reading those that stay', async () => {
  if (dialectOf(db).name !== 'sqlite') return;
  await clear();
  await addDetections([detection('a', 10), detection('a', 20)]);
  await addSightings([sighting('a', 10, 10)]);
  await mark('a', 15, 25);
  const asked: CompiledQuery[] = [];
  const watched = db.withPlugin({
    transformQuery: ({ node, queryId }) => { asked.push(db.getExecutor().compileQuery(node, queryId)); return node; },
    transformResult: ({ result }) => Promise.resolve(result),
  });
  const store = new DetectionStore(watched);
  expect(await store.nextSeenLive('')).toBe('a');
  await store.deleteUnmarked('a', { from: T0, to: T0 + 100 }, 500);
  const plans: string[] = [];
  for (const { sql: text, parameters } of asked) {
    const plan = (await db.executeQuery<{ detail: string }>({ ...sql`explain`.compile(db), sql: `explain query plan ${text}`, parameters })).rows.map(({ detail }) => detail);
    for (const detail of plan) expect(detail, text).not.toMatch(/^SCAN (detections|sightings|marks|r)\b/);
    plans.push(...plan);
  }
  expect(plans.join('\n')).toMatch(/SEARCH detections USING (COVERING )?INDEX detections_live \(camera_id>\?\)/);
  expect(plans.join('\n')).toMatch(/SEARCH marks USING COVERING INDEX marks_ranges \(camera_id=\? AND from_ms>\? AND from_ms<\?\)/);
  expect(plans.join('\n')).toMatch(/SEARCH r USING (COVERING )?INDEX detections_live \(camera_id=\? AND captured_at_ms>\? AND captured_at_ms<\?\)/);
  expect(plans.join('\n')).toMatch(/SEARCH r USING (COVERING )?INDEX sightings_live \(camera_id=\? AND first_ms>\? AND first_ms<\?\)/);
});
