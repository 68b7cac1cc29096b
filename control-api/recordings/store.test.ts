import fc from 'fast-check';
import type { Insertable, Kysely } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Database, SegmentsTable } from '../../platform/database/schema.ts';
import { freshDatabase } from '../../platform/testing/fresh-database.ts';
import { RecordingStore } from './store.ts';
import type { RecordingRow } from './store.ts';

type Row = Insertable<SegmentsTable>;
interface Step { readonly seconds: number; readonly gap: number; readonly newSession: boolean; readonly expired: boolean }

/** What a camera leaves: segment after segment, some behind a gap, some of the next session, some given up. */
const rowsOf = (camera: string, steps: readonly Step[]): Row[] => {
  let at = 1000;
  let session = 0;
  return steps.map(({ seconds, gap, newSession, expired }, i) => {
    at += gap;
    if (newSession) session++;
    const start = at;
    at += seconds;
    return {
      id: `${camera}/${String(i)}`, camera_id: camera, session_id: `${camera}-${String(session)}`, epoch: 1, start_ms: start, end_ms: at, bytes: i + 1, sha256: null, open: i === steps.length - 1 ? 1 : 0, tracks: '[]',
      gap_before: gap > 0 ? gap : null, expired_at: expired ? 1 : null,
    };
  });
};

/** The same by looking at every row. */
const runsOf = (rows: readonly Row[], { cameras, from, to }: { readonly cameras: readonly string[] | undefined; readonly from: number | undefined; readonly to: number | undefined }): RecordingRow[] => {
  const runs: { -readonly [K in keyof RecordingRow]: RecordingRow[K] }[] = [];
  const wanted = rows.filter((row) => row.expired_at === null && (cameras === undefined || cameras.includes(row.camera_id)) && (to === undefined || row.start_ms < to) && (from === undefined || row.end_ms > from));
  for (const row of wanted) {
    const run = runs.at(-1);
    if (run?.camera_id === row.camera_id && run.session_id === row.session_id && (row.gap_before ?? 0) === 0) {
      run.end_ms = Math.max(run.end_ms, row.end_ms);
      run.bytes += row.bytes;
      run.segments++;
      run.open = row.open === 1 ? 1 : run.open;
    } else runs.push({ camera_id: row.camera_id, session_id: row.session_id, start_ms: row.start_ms, end_ms: row.end_ms, bytes: row.bytes, segments: 1, open: row.open });
  }
  return runs.sort((a, b) => b.start_ms - a.start_ms || (a.camera_id < b.camera_id ? -1 : 1));
};

describe('the recording index', () => {
  let db: Kysely<Database>;
  beforeAll(async () => { db = await freshDatabase(); });
  beforeEach(async () => { await db.deleteFrom('segments').execute(); });
  afterAll(async () => { await db.destroy(); });

  const step = fc.record({ seconds: fc.integer({ min: 1, max: 5 }), gap: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 5 })), newSession: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, fc.boolean()), expired: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.boolean()) });
  const bound = fc.option(fc.integer({ min: 990, max: 1060 }), { nil: undefined });

  test('the search finds the same runs, in whatever pages, as looking at every segment does', async () => {
    await fc.assert(fc.asyncProperty(
      fc.tuple(fc.array(step, { maxLength: 12 }), fc.array(step, { maxLength: 12 }), fc.array(step, { maxLength: 3 })), bound, bound, fc.constantFrom(undefined, ['b'], ['none'], ['c', 'a', 'none', 'c'], []), fc.integer({ min: 1, max: 4 }),
      async (steps, from, to, cameras, limit) => {
        await db.deleteFrom('segments').execute();
        const rows = steps.flatMap((ofCamera, i) => rowsOf(['a', 'b', 'c'][i] ?? '', ofCamera));
        if (rows.length > 0) await db.insertInto('segments').values(rows).execute();
        const filter = { cameras, from, to };
        const found: RecordingRow[] = [];
        let before: [number, string] | undefined;
        for (;;) {
          const page = await new RecordingStore(db).recordings(filter, before, limit);
          found.push(...page);
          const last = page.at(-1);
          if (page.length < limit || last === undefined) break;
          before = [last.start_ms, last.camera_id];
        }
        expect(found).toEqual(runsOf(rows, filter));
      },
    ), { numRuns: 300 });
  });

  test('what was given up is forgotten a batch at a time; its camera is known no longer than something of it is listed', async () => {
    const store = new RecordingStore(db);
    await db.insertInto('segments').values(rowsOf('a', Array.from({ length: 5 }, (_, i) => ({ seconds: 1, gap: 0, newSession: false, expired: i < 4 })))).execute();
    expect([await store.deleteExpired(1, 3), await store.known('a')]).toEqual([0, true]);
    expect([await store.deleteExpired(2, 3), await store.deleteExpired(2, 3), await store.deleteExpired(2, 3)]).toEqual([3, 1, 0]);
    expect((await db.selectFrom('segments').select('id').execute()).map(({ id }) => id)).toEqual(['a/4']);
    await db.updateTable('segments').set({ expired_at: 9 }).execute();
    expect(await store.known('a')).toBe(false);
  });
});
