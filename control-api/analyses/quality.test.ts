import type { Kysely } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Database } from '../../platform/database/schema.ts';
import { freshDatabase } from '../../platform/testing/fresh-database.ts';
import { qualityOf } from './quality.ts';
import { AnalysisStore } from './store.ts';
import type { AnalysisRow } from './store.ts';

let db: Kysely<Database>;
beforeEach(async () => { db = await freshDatabase(); });
afterEach(async () => { await db.destroy(); });

const job = async (more: Partial<AnalysisRow> = {}): Promise<void> => {
  await new AnalysisStore(db).insert({
    id: 'job', camera_id: 'cam', from_ms: 0, to_ms: 600_000, fps: 10, detectors: '[{"id":"d","model":"small","confidence":null}]', state: 'running', position_ms: 0, pictures: 100, undecodable: 0, missing_segments: 0,
    detections: 0, defect_classes: '["dent","scratch"]', defect_pictures: 20, error: null, heartbeat_at: 1, created_at: 1, created_by: null, finished_at: null, ...more,
  });
};
/** So many of a class at once, in each picture of these moments. */
const found = async (class_name: string, count: number, moments: readonly number[], model = 'small', analysis_id = 'job'): Promise<void> => {
  await db.insertInto('detections').values(moments.flatMap((at) => Array.from({ length: count }, () => ({
    camera_id: 'cam', stream_epoch: 1, rtp_timestamp: at, captured_at_ms: at, sequence: at, class_name, class_id: 0, confidence: 0.5, x: 0, y: 0, width: 1, height: 1, track_id: null, model, model_digest: 'd', analysis_id,
  })))).execute();
};
const quality = async (): Promise<unknown> => qualityOf(db, await db.selectFrom('analyses').selectAll().where('id', '=', 'job').executeTakeFirstOrThrow());

test('[SD-56] defects are counted, not boxes: the most at once of each class and stretch, by the model that found most', async () => {
  await job();
  await found('dent', 1, [1000, 1100, 1200]);
  await found('dent', 2, [1300]); // another one beside it
  await found('dent', 1, [2300]); // a second later: still the same stretch
  await found('dent', 1, [3301]); // and one that comes later
  await found('scratch', 1, [1000], 'large');
  await found('scratch', 3, [1000]);
  await found('scratch', 1, [9000], 'large');
  await found('person', 5, [1000]);
  await found('dent', 7, [1000], 'small', 'another job');
  expect(await quality()).toEqual({ defect_count: 3 + 3, quality_score: 0.8 });
});

test('[SD-56] at low rates one picture without the defect does not make two of it', async () => {
  await job({ fps: 0.5 });
  await found('dent', 1, [0, 2000, 6000, 10_001]);
  expect(await quality()).toMatchObject({ defect_count: 2 });
});

test('[SD-56] nothing found is a perfect score; nothing looked at, or no classes named, is none', async () => {
  await job({ defect_pictures: 0 });
  expect(await quality()).toEqual({ defect_count: 0, quality_score: 1 });
  await db.updateTable('analyses').set({ pictures: 0 }).execute();
  expect(await quality()).toEqual({ defect_count: 0, quality_score: null });
  await db.updateTable('analyses').set({ defect_classes: '[]', pictures: 100 }).execute();
  expect(await quality()).toEqual({ defect_count: null, quality_score: null });
});
