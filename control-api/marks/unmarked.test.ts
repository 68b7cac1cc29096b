import fc from 'fast-check';
import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dialectOf } from '../../platform/database/dialect.ts';
import type { Database } from '../../platform/database/schema.ts';
import { freshDatabase } from '../../platform/testing/fresh-database.ts';
import { MAX_MARK_MS, firstSeq } from './order.ts';
import { merged, overlapsAny } from './ranges.ts';
import type { Range } from './ranges.ts';
import { unmarked } from './unmarked.ts';

let db: Kysely<Database>;
beforeAll(async () => { db = await freshDatabase(); });
afterAll(async () => { await db.destroy(); });

const mark = async (marks: readonly Range[]): Promise<void> => {
  await db.deleteFrom('marks').execute();
  const rows = [...marks.map((range) => ({ camera: 'cam', ...range })), { camera: 'other', from: 0, to: 2 * MAX_MARK_MS }]
    .map(({ camera, from, to }, i) => ({ id: `m-${String(i)}`, seq: firstSeq(from) + i, camera_id: camera, from_ms: from, to_ms: to, kind: 'link' as const, archive: 1 as const, created_at: 1 }));
  for (let i = 0; i < rows.length; i += 500) await db.insertInto('marks').values(rows.slice(i, i + 500)).execute();
};

/** All gaps of a range, and how often they were asked for. */
const gapsOf = async (from: number, to: number): Promise<{ gaps: Range[]; steps: number }> => {
  const gaps: Range[] = [];
  let steps = 0;
  for (let at = from; at < to; steps++) {
    const found = await db.transaction().execute((tx) => unmarked(tx, 'cam', { from: at, to }));
    expect(found.end).toBeGreaterThan(at);
    gaps.push(...found.gaps);
    at = found.end;
  }
  return { gaps: merged(gaps), steps };
};

const covers = (marks: readonly Range[], at: number): boolean => overlapsAny(merged(marks), { from: at, to: at + 0.001 });

test('[REC-7] the unmarked parts of a range are what no mark covers', async () => {
  const range = fc.tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 1, max: 30 })).map(([from, length]) => ({ from: from / 2, to: (from + length) / 2 }));
  await fc.assert(fc.asyncProperty(fc.array(range, { maxLength: 10 }), fc.integer({ min: 0, max: 20 }), fc.integer({ min: 1, max: 30 }), async (marks, from, length) => {
    await mark(marks);
    const { gaps } = await gapsOf(from, from + length);
    for (let at = from - 1; at < from + length + 1; at += 0.25) expect(overlapsAny(gaps, { from: at, to: at + 0.001 }), String(at)).toBe(at >= from && at < from + length && !covers(marks, at));
  }), { numRuns: 40 });
});

test.each([
  ['apart', (i: number) => ({ from: i * 10, to: i * 10 + 5 }), 1_200, 3],
  ['all from one moment', (i: number) => ({ from: 100, to: 101 + i }), 600, 3],
  ['all over the beginning', (i: number) => ({ from: -i, to: 1 + i * 3 }), 1_100, 3],
  ['each as long as can be', (i: number) => ({ from: i * 10, to: i * 10 + MAX_MARK_MS }), 1_100, 4],
])('more marks than are looked at in one step, %s, are all looked at', async (_name, rangeOf, count, most) => {
  const marks = Array.from({ length: count }, (_, i) => rangeOf(i));
  await mark(marks);
  const to = Math.max(...marks.map((one) => one.to)) + 100;
  const { gaps, steps } = await gapsOf(0, to);
  const inside = marks.map((one) => ({ from: Math.max(0, one.from), to: one.to }));
  // Together they are the whole range, and they do not overlap.
  expect(merged([...gaps, ...inside])).toEqual([{ from: 0, to }]);
  const all = merged(inside);
  expect(gaps.some((gap) => overlapsAny(all, gap))).toBe(false);
  expect(steps).toBeLessThanOrEqual(most);
});

test('[REC-7] nobody makes or moves a mark while what is unmarked is being deleted', async () => {
  await mark([{ from: 0, to: 10 }]);
  const order: string[] = [];
  let made: Promise<void> | undefined;
  await db.transaction().execute(async (tx) => {
    await unmarked(tx, 'cam', { from: 0, to: 100 });
    made = db.updateTable('marks').set({ to_ms: 50 }).where('id', '=', 'm-0').execute().then(() => { order.push('moved'); });
    await waits();
    order.push('deleted');
  });
  await made;
  expect(order).toEqual(['deleted', 'moved']);
});

/** Until somebody waits for a lock, or a moment has passed: SQLite's one connection is taken. */
const waits = async (): Promise<void> => {
  for (let i = 0; i < 50; i++) {
    await new Promise((resolve) => { setTimeout(resolve, 10); });
    if (!dialectOf(db).shared) return;
    const { rows } = await sql<{ n: number }>`select cast(count(*) as integer) as n from pg_locks l join pg_database d on d.oid = l.database where not l.granted and d.datname = current_database()`.execute(db);
    if ((rows[0]?.n ?? 0) > 0) return;
  }
};
