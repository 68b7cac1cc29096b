import { create } from '@bufbuild/protobuf';
import fc from 'fast-check';
import type { Kysely } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Database } from '../../platform/database/schema.ts';
import { freshDatabase } from '../../platform/testing/fresh-database.ts';
import { DetectionResultSchema } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import { MAX_SIGHTING_MS } from '../sightings.ts';
import { expireSegment } from './segment-rows.ts';
import { addSightings } from './sighting-rows.ts';

const result = (at: number, classes: Readonly<Record<string, number>>, camera = 'cam', confidence = 0.5) =>
  create(DetectionResultSchema, {
    camera, epoch: 1, capturedAt: at,
    detections: Object.entries(classes).flatMap(([className, count]) => Array.from({ length: count }, (_, i) => ({ className, classId: 1, confidence: confidence + i / 100 }))),
  });

describe('sightings', () => {
  let db: Kysely<Database>;
  beforeAll(async () => { db = await freshDatabase(); });
  beforeEach(async () => {
    await db.deleteFrom('sightings').execute();
    await db.deleteFrom('segments').execute();
  });
  afterAll(async () => { await db.destroy(); });
  const add = (...results: ReturnType<typeof result>[]) => db.transaction().execute((tx) => addSightings(tx, results));
  const stored = () => db.selectFrom('sightings').selectAll().orderBy('camera_id').orderBy('class_name').orderBy('first_ms').execute();

  test('[REC-6] a class is one sighting until it was not seen for 10 s, across batches; counts, the most at once and the best confidence are kept', async () => {
    await add(result(1000, { cup: 2 }), result(2000, { cup: 1, person: 1 }, 'cam', 0.7));
    await add(result(12_000, { cup: 3 }));
    await add(result(22_001, { cup: 1 }), result(22_001, { cup: 1 }, 'other'));
    expect((await stored()).map(({ camera_id, class_name, first_ms, last_ms, count, at_once, max_confidence }) => [camera_id, class_name, first_ms, last_ms, count, at_once, max_confidence])).toEqual([
      ['cam', 'cup', 1000, 12_000, 6, 3, 0.7], ['cam', 'cup', 22_001, 22_001, 1, 1, 0.5], ['cam', 'person', 2000, 2000, 1, 1, 0.7], ['other', 'cup', 22_001, 22_001, 1, 1, 0.5],
    ]);
  });

  test('results of the past, as an analysis of a recording gives them, begin their own or join what is there', async () => {
    await add(result(100_000, { cup: 1 }));
    await add(result(50_000, { cup: 1 }), result(105_000, { cup: 1 }), result(95_000, { cup: 1 }));
    expect((await stored()).map(({ first_ms, last_ms, count }) => [first_ms, last_ms, count])).toEqual([[50_000, 50_000, 1], [95_000, 95_000, 1], [100_000, 105_000, 2]]);
  });

  test('however they come, every detection is in a sighting of its time, and none is longer than it may be', async () => {
    const moment = fc.record({ at: fc.integer({ min: 0, max: 2_000 }).map((s) => s * 1000), camera: fc.constantFrom('a', 'b'), classes: fc.dictionary(fc.constantFrom('cup', 'person'), fc.integer({ min: 1, max: 3 })) });
    await fc.assert(fc.asyncProperty(fc.array(fc.array(moment, { maxLength: 40 }), { maxLength: 4 }), async (batches) => {
      await db.deleteFrom('sightings').execute();
      for (const batch of batches) await add(...batch.map(({ at, camera, classes }) => result(at, classes, camera)));
      const rows = await stored();
      const moments = batches.flat();
      for (const camera of ['a', 'b']) for (const name of ['cup', 'person']) {
        const mine = rows.filter((row) => row.camera_id === camera && row.class_name === name);
        const seen = moments.filter((one) => one.camera === camera && (one.classes[name] ?? 0) > 0);
        expect(mine.reduce((sum, row) => sum + row.count, 0)).toBe(seen.reduce((sum, one) => sum + (one.classes[name] ?? 0), 0));
        for (const one of seen) expect(mine.some((row) => row.first_ms <= one.at && one.at <= row.last_ms && row.at_once >= (one.classes[name] ?? 0))).toBe(true);
        for (const row of mine) {
          expect(row.last_ms - row.first_ms).toBeLessThanOrEqual(MAX_SIGHTING_MS);
          expect(seen.some((one) => one.at === row.first_ms) && seen.some((one) => one.at === row.last_ms)).toBe(true);
        }
      }
    }), { numRuns: 60 });
  });

  test('a sighting goes with the last segment of its time', async () => {
    const segment = (i: number) => ({
      id: `cam/${String(i)}`, camera_id: 'cam', session_id: 's', epoch: 1, start_ms: i * 10_000, end_ms: (i + 1) * 10_000, bytes: 1, sha256: null, open: 0 as const, tracks: '[]', gap_before: null, gap_cause: null,
      expired_at: null, prev_sha256: null, archived_at: null,
    });
    await db.insertInto('segments').values([0, 1, 2].map(segment)).execute();
    await add(result(5000, { cup: 1 }), result(9000, { person: 1 }), result(12_000, { person: 1 }), result(25_000, { cup: 1 }), result(5000, { cup: 1 }, 'other'));
    const left = async () => (await stored()).map(({ camera_id, class_name, first_ms }) => `${camera_id} ${class_name} ${String(first_ms)}`);
    await db.transaction().execute((tx) => expireSegment(tx, 'cam/0', 1));
    expect(await left()).toEqual(['cam cup 25000', 'cam person 9000', 'other cup 5000']);
    await db.transaction().execute((tx) => expireSegment(tx, 'cam/1', 1));
    expect(await left()).toEqual(['cam cup 25000', 'other cup 5000']);
  });
});
