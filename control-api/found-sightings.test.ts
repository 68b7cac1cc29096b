import { create } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { sql } from 'kysely';
import type { CompiledQuery, Kysely } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { dialectOf } from '../platform/database/dialect.ts';
import { foundSightings } from '../platform/database/migrations/0010-found-sightings.ts';
import type { Database } from '../platform/database/schema.ts';
import { freshDatabase } from '../platform/testing/fresh-database.ts';
import { DetectionResultSchema } from '../proto/gen/imageflow/v1/media_control_pb.ts';
import { AnalysisStore } from './analyses/store.ts';
import type { AnalysisEnd, NewDetection, Step } from './analyses/store.ts';
import { insertDetections } from './edges/detection-rows.ts';
import { expireSegment } from './edges/segment-rows.ts';
import { addSightings } from './edges/sighting-rows.ts';
import type { SweepPosition } from './retention.ts';

const CAMERA = 'cam';
const quiet = (): Promise<void> => Promise.resolve();
const ended = (state: AnalysisEnd['state']): AnalysisEnd => ({ state, error: null, quality: { defect_count: null, quality_score: null } });
/** One picture every 7 s: two without a class are a break, and the range goes over full ten minutes twice. */
const PICTURE_MS = 7_000;
const SEGMENT_PICTURES = 20;
const SEGMENTS = 10;
const MODELS = ['small', 'large'] as const;
const CELL_MS = 600_000;

/** How often each model sees each class in each picture; picture and model decide it, so a repetition says the same. */
type Scene = readonly (readonly [smallCup: number, smallDent: number, largeCup: number])[];

const segmentOf = (i: number) => ({
  id: `${CAMERA}/${String(i)}`, camera_id: CAMERA, session_id: 's', epoch: 1, start_ms: i * SEGMENT_PICTURES * PICTURE_MS, end_ms: (i + 1) * SEGMENT_PICTURES * PICTURE_MS, bytes: 1, sha256: null, open: 0 as const,
  tracks: '[]', gap_before: null, gap_cause: null, expired_at: null, prev_sha256: null, archived_at: null,
});

const detection = (picture: number, model: string, className: string, confidence: number): NewDetection => ({
  camera_id: CAMERA, stream_epoch: 1, rtp_timestamp: picture, captured_at_ms: picture * PICTURE_MS, sequence: picture, class_name: className, class_id: 0, confidence, x: 0, y: 0, width: 1, height: 1, track_id: null,
  model, model_digest: 'digest',
});

const seenIn = (scene: Scene, picture: number, models: readonly string[]): NewDetection[] => {
  const [smallCup = 0, smallDent = 0, largeCup = 0] = scene[picture] ?? [];
  const of = (model: string, className: string, count: number) => Array.from({ length: models.includes(model) ? count : 0 }, (_, i) => detection(picture, model, className, ((picture * 7 + i) % 10) / 10));
  return [...of('small', 'cup', smallCup), ...of('small', 'dent', smallDent), ...of('large', 'cup', largeCup)];
};

/** What one segment brings to a job that looks at every `stride`th picture. */
const stepOf = (scene: Scene, segment: number, models: readonly string[], stride: number): Step => {
  const [first, last] = [segment * SEGMENT_PICTURES, (segment + 1) * SEGMENT_PICTURES - 1];
  const pictures = Array.from({ length: SEGMENT_PICTURES }, (_, i) => first + i).filter((picture) => picture % stride === 0);
  return {
    position: (last + 1) * PICTURE_MS, segment: 'cam/1', of: { epoch: 1, firstSequence: first, lastSequence: last, from: first * PICTURE_MS, to: last * PICTURE_MS }, models, pictures: pictures.length, undecodable: 0, missingSegments: 0, defectPictures: 0,
    detections: pictures.flatMap((picture) => seenIn(scene, picture, models)),
  };
};

describe('sightings of analyses', () => {
  let db: Kysely<Database>;
  let store: AnalysisStore;
  beforeAll(async () => {
    db = await freshDatabase();
    store = new AnalysisStore(db);
  });
  const clear = async () => {
    for (const table of ['segments', 'sightings', 'detections', 'analyses', 'marks'] as const) await db.deleteFrom(table).execute();
    await db.insertInto('segments').values(Array.from({ length: SEGMENTS }, (_, i) => segmentOf(i))).execute();
  };
  beforeEach(clear);
  afterAll(async () => { await db.destroy(); });

  const sightings = async (source: 'live' | 'analysis') =>
    await db.selectFrom('sightings').selectAll().where('analysed_by', source === 'live' ? '=' : '!=', '').orderBy('analysed_by').orderBy('class_name').orderBy('first_ms').execute();
  const begin = async (id: string) => {
    await store.insert({
      id, camera_id: CAMERA, from_ms: 0, to_ms: SEGMENTS * SEGMENT_PICTURES * PICTURE_MS, fps: 1, detectors: '[]', state: 'running', position_ms: 0, pictures: 0, undecodable: 0, missing_segments: 0, detections: 0, error: null, heartbeat_at: 1,
      created_at: 1, created_by: null, finished_at: null,
    });
  };
  const live = async (scene: Scene, pictures: readonly number[]) => {
    const results = pictures.map((picture) => create(DetectionResultSchema, {
      camera: CAMERA, epoch: 1, rtpTimestamp: picture, capturedAt: picture * PICTURE_MS, sequence: BigInt(picture), model: 'small', modelDigest: 'digest',
      detections: seenIn(scene, picture, ['small']).map(({ class_name, confidence }) => ({ className: class_name, classId: 0, confidence, x: 0, y: 0, width: 1, height: 1 })),
    }));
    await db.transaction().execute(async (tx) => {
      await insertDetections(tx, results);
      await addSightings(tx, results);
    });
  };

  /** From the detections alone, picture by picture. */
  const computed = async () => {
    const rows = await db.selectFrom('detections').selectAll().where('analysis_id', 'is not', null).orderBy('captured_at_ms').execute();
    const listed = await db.selectFrom('segments').selectAll().where('expired_at', 'is', null).execute();
    const all: Awaited<ReturnType<typeof sightings>> = [];
    for (const same of Map.groupBy(rows, (row) => `${row.model} ${row.class_name}`).values()) {
      let current: (typeof all)[number] | undefined;
      for (const [moment, boxes] of Map.groupBy(same, (row) => row.captured_at_ms)) {
        const confidence = Math.max(...boxes.map((box) => box.confidence));
        if (current !== undefined && moment - current.last_ms <= 10_000 && Math.floor(moment / CELL_MS) === Math.floor(current.first_ms / CELL_MS)) {
          Object.assign(current, { last_ms: moment, count: current.count + boxes.length, at_once: Math.max(current.at_once, boxes.length), max_confidence: Math.max(current.max_confidence, confidence) });
        } else {
          const { camera_id, class_name, model } = boxes[0]!;
          all.push(current = { camera_id, class_name, analysed_by: model, first_ms: moment, last_ms: moment, count: boxes.length, at_once: boxes.length, max_confidence: confidence });
        }
      }
    }
    return all
      .filter((row) => listed.some((segment) => segment.start_ms <= row.last_ms && segment.end_ms > row.first_ms))
      .sort((a, b) => (a.analysed_by === b.analysed_by ? (a.class_name === b.class_name ? a.first_ms - b.first_ms : a.class_name < b.class_name ? -1 : 1) : a.analysed_by < b.analysed_by ? -1 : 1));
  };

  test('[REC-6] whatever analyses, repetitions, live batches, ends and deletions come in whatever order, what analyses found is what their detections say', async () => {
    const count = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 3 }));
    const scene: fc.Arbitrary<Scene> = fc.array(fc.tuple(count, count, count), { minLength: SEGMENTS * SEGMENT_PICTURES, maxLength: SEGMENTS * SEGMENT_PICTURES, size: 'max' });
    const analyse = fc.record({
      do: fc.constant('analyse' as const), models: fc.subarray([...MODELS], { minLength: 1 }), from: fc.integer({ min: 0, max: SEGMENTS - 1 }), segments: fc.integer({ min: 1, max: SEGMENTS }), stride: fc.integer({ min: 1, max: 3 }),
      end: fc.constantFrom('done', 'cancelled', 'killed'),
    });
    const step = fc.oneof(
      { weight: 4, arbitrary: analyse },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('live' as const), pictures: fc.array(fc.integer({ min: 0, max: SEGMENTS * SEGMENT_PICTURES - 1 }), { maxLength: 20 }) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), limit: fc.integer({ min: 1, max: 60 }), times: fc.integer({ min: 1, max: 5 }) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('expire' as const), segment: fc.integer({ min: 0, max: SEGMENTS - 1 }) }) },
    );
    const stats = { found: 0, runs: 0 };
    await fc.assert(fc.asyncProperty(scene, fc.array(step, { minLength: 1, maxLength: 8 }), async (of, steps) => {
      await clear();
      for (const [i, one] of steps.entries()) {
        const before = { live: await sightings('live'), analysis: await sightings('analysis') };
        if (one.do === 'analyse') {
          const id = `job-${String(i)}`;
          await begin(id);
          const last = Math.min(SEGMENTS, one.from + one.segments);
          for (let segment = one.from; segment < last; segment++) {
            await store.advance(id, CAMERA, stepOf(of, segment, one.models, one.stride), 1);
            // A process that died before it could tell so looks at the segment again.
            if (one.end === 'killed' && segment === one.from) await store.advance(id, CAMERA, stepOf(of, segment, one.models, one.stride), 1);
          }
          await store.end(id, ended(one.end === 'cancelled' ? 'cancelled' : 'done'), i, quiet);
          if (one.end === 'cancelled') expect(await store.advance(id, CAMERA, stepOf(of, one.from, one.models, 1), 1)).toBe(false);
          expect(await sightings('live')).toEqual(before.live);
        } else if (one.do === 'live') {
          await live(of, one.pictures);
          expect(await sightings('analysis')).toEqual(before.analysis);
        } else if (one.do === 'delete') {
          let after: SweepPosition;
          for (let n = 0; n < one.times; n++) after = await store.deleteEnded(100, after, one.limit);
          expect(await sightings('live')).toEqual(before.live);
        } else await db.transaction().execute((tx) => expireSegment(tx, `${CAMERA}/${String(one.segment)}`, 1));
        const found = await sightings('analysis');
        expect(found).toEqual(await computed());
        stats.found += found.length;
      }
      stats.runs++;
    }), { numRuns: dialectOf(db).shared ? 15 : 60 });
    expect(stats.found).toBeGreaterThan(stats.runs);
  });

  const SCENE: Scene = Array.from({ length: SEGMENTS * SEGMENT_PICTURES }, (_, i) => [i % 20 < 3 ? 2 : 0, 0, i % 20 < 3 ? 1 : 0]);

  test('[REC-6] a repetition changes nothing; another model is a source of its own', async () => {
    const run = async (id: string, models: readonly string[], segments: number) => {
      await begin(id);
      for (let i = 0; i < segments; i++) await store.advance(id, CAMERA, stepOf(SCENE, i, models, 1), 1);
      await store.end(id, ended('done'), 1, quiet);
    };
    await run('one', ['small'], SEGMENTS);
    const once = await sightings('analysis');
    expect(once).toHaveLength(SEGMENTS);
    expect(once[0]).toEqual({ camera_id: CAMERA, class_name: 'cup', analysed_by: 'small', first_ms: 0, last_ms: 2 * PICTURE_MS, count: 6, at_once: 2, max_confidence: 0.8 });
    await run('two', ['small'], SEGMENTS);
    await run('three', ['small'], 3);
    expect(await sightings('analysis')).toEqual(once);
    await run('four', ['large'], 1);
    expect(await sightings('analysis')).toEqual([expect.objectContaining({ analysed_by: 'large', count: 3, at_once: 1 }), ...once]);
  });

  test('what is found goes with its job, ten minutes at most in one step, and the sweep goes on until all has gone', async () => {
    await begin('old');
    for (let i = 0; i < SEGMENTS; i++) await store.advance('old', CAMERA, stepOf(SCENE, i, ['small'], 1), 1);
    await store.end('old', ended('done'), 1, quiet);
    let steps = 0;
    for (let after = await store.deleteEnded(2, undefined, 1_000); after !== undefined; after = await store.deleteEnded(2, after, 1_000)) {
      steps++;
      expect(await sightings('analysis')).toEqual(await computed());
    }
    expect(steps).toBe(4); // three times ten minutes, and the job
    expect([await sightings('analysis'), await db.selectFrom('analyses').selectAll().execute()]).toEqual([[], []]);
  });

  test('[REC-7] what was found in a marked range stays as long as the mark, with its job; the rest of it goes', async () => {
    for (const id of ['early', 'late', 'unmarked']) {
      await begin(id);
      // The unmarked one has seen the last two segments alone, which none of the marks touches.
      for (let i = id === 'unmarked' ? 8 : 0; i < (id === 'early' ? 2 : id === 'late' ? 8 : 10); i++) await store.advance(id, CAMERA, stepOf(SCENE, i, [id === 'late' ? 'large' : 'small'], 1), 1);
      await store.end(id, ended('done'), 1, quiet);
    }
    await db.updateTable('analyses').set({ from_ms: 8 * SEGMENT_PICTURES * PICTURE_MS }).where('id', '=', 'unmarked').execute();
    // One segment, and the pictures around the border of the fifth and sixth; another camera's marks keep nothing here.
    const marks = [[CAMERA, 20, 40], [CAMERA, 99, 102], ['other', 0, 200]] as const;
    await db.insertInto('marks').values(marks.map(([camera, from, to], i) => ({ id: `mark-${String(i)}`, seq: i, camera_id: camera, from_ms: from * PICTURE_MS, to_ms: to * PICTURE_MS, kind: 'link' as const, archive: 1 as const, created_at: 1 }))).execute();
    const sweep = async (limit: number) => { for (let after = await store.deleteEnded(2, undefined, limit); after !== undefined; after = await store.deleteEnded(2, after, limit)); };
    const left = async () => ({
      pictures: (await db.selectFrom('detections').select(['analysis_id', 'sequence']).distinct().orderBy('analysis_id').orderBy('sequence').execute()).map((row) => [row.analysis_id, row.sequence]),
      jobs: (await db.selectFrom('analyses').select('id').orderBy('id').execute()).map(({ id }) => id),
    });
    await sweep(7);
    expect(await left()).toEqual({ pictures: [['early', 20], ['early', 21], ['early', 22], ['late', 20], ['late', 21], ['late', 22], ['late', 100], ['late', 101]], jobs: ['early', 'late'] });
    expect(await sightings('analysis')).toEqual(await computed());
    await sweep(1_000);
    expect((await left()).jobs).toEqual(['early', 'late']);
    await db.deleteFrom('marks').where('id', '=', 'mark-0').execute();
    await sweep(1_000);
    expect(await left()).toEqual({ pictures: [['late', 100], ['late', 101]], jobs: ['early', 'late'] });
    await db.deleteFrom('marks').where('camera_id', '=', CAMERA).execute();
    await sweep(1_000);
    expect([await left(), await sightings('analysis')]).toEqual([{ pictures: [], jobs: [] }, []]);
  });

  test('[REC-6] what was found before an update is found after it, and what was seen live stays', async () => {
    await begin('job');
    for (let i = 0; i < SEGMENTS; i++) await store.advance('job', CAMERA, stepOf(SCENE, i, MODELS, 1), 1);
    await live(SCENE, [0, 1, 2, 60]);
    const before = { live: await sightings('live'), analysis: await sightings('analysis') };
    expect([before.live.length, before.analysis.length]).toEqual([2, 2 * SEGMENTS]);
    await sql`create table was as select camera_id, class_name, first_ms, last_ms, count, at_once, max_confidence from sightings where analysed_by = ''`.execute(db);
    await sql`drop table sightings`.execute(db);
    await sql`alter table was rename to sightings`.execute(db);
    await foundSightings.up(db);
    expect({ live: await sightings('live'), analysis: await sightings('analysis') }).toEqual(before);
  });

  test('SQLite reads for them what analyses have found in those times and nothing else', async () => {
    if (dialectOf(db).name !== 'sqlite') return;
    await begin('job');
    const asked: CompiledQuery[] = [];
    const watched = db.withPlugin({
      transformQuery: ({ node, queryId }) => { asked.push(db.getExecutor().compileQuery(node, queryId)); return node; },
      transformResult: ({ result }) => Promise.resolve(result),
    });
    await new AnalysisStore(watched).advance('job', CAMERA, stepOf(SCENE, 0, MODELS, 1), 1);
    const queries = asked.filter(({ sql: text }) => /sightings/.test(text));
    expect(queries).toHaveLength(3);
    for (const { sql: text, parameters } of queries) {
      const plan = (await db.executeQuery<{ detail: string }>({ ...sql`explain`.compile(db), sql: `explain query plan ${text}`, parameters })).rows.map(({ detail }) => detail);
      if (text.includes('insert into')) expect(plan.join('\n')).toContain('SEARCH detections USING INDEX detections_analysed (camera_id=? AND captured_at_ms>? AND captured_at_ms<?)');
      for (const detail of plan) expect(detail, text).not.toMatch(/^SCAN (segments|detections|sightings|[gc])\b/);
    }
  });
});
