import type { Kysely } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Config } from '../../config/schema.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import type { RecordedRound, RoundOutcome } from '../../extractor/port.ts';
import type { Database } from '../../platform/database/schema.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { freshDatabase } from '../../platform/testing/fresh-database.ts';
import type { CodedPictures, RecordedSample } from '../../recorder/port.ts';
import { EventService } from '../events/service.ts';
import { MarkService } from '../marks/service.ts';
import type { RecordingService, SegmentRow } from '../recordings/service.ts';
import { AnalysisService } from './service.ts';
import { AnalysisStore } from './store.ts';

const CAMERA = 'cam';
const RANGE_MS = 20_000;
/** Ten pictures a second. */
const STEP_MS = 100;

let db: Kysely<Database>;
let clock: FakeClock;
beforeEach(async () => { db = await freshDatabase(); clock = new FakeClock(); });
afterEach(async () => { await db.destroy(); });

/** One segment from 0 on that is still being written; `end` is how far it has come. */
class GrowingSegment {
  end = 5_000;
  /** Asked for its segments, from where on. */
  readonly asked: (number | undefined)[] = [];
  /** Awaited before every answer but the first. */
  ready: Promise<unknown> = Promise.resolve();

  readonly recordings = {
    segments: async (_camera: string, { from }: { from: number | undefined }): Promise<SegmentRow[]> => {
      this.asked.push(from);
      if (this.asked.length > 1) await this.ready;
      return this.end > (from ?? 0) ? [{ id: 'cam/0', camera_id: CAMERA, start_ms: 0, end_ms: this.end, open: 1 } as SegmentRow] : [];
    },
    codedPictures: (): Promise<CodedPictures> => Promise.resolve({ codec: 'h264', sps: Buffer.alloc(0), pps: Buffer.alloc(0), clockRate: 90_000, samples: this.#samples(), read: () => { throw new Error('nobody reads it here'); } }),
  } as unknown as RecordingService;

  #samples(): RecordedSample[] {
    return Array.from({ length: this.end / STEP_MS }, (_, i) => ({
      kind: 'video', frame: { stream: CAMERA, epoch: 1, rtpTs: i, captureNtp: null, seq: i }, wall: i * STEP_MS, dts: i, pts: i, duration: 1, randomAccess: i === 0, segmentId: 'cam/0', offset: 0, bytes: 1,
    }));
  }
}

/** Sees a dent in every picture it is shown. */
const runner = () => ({
  detect: ({ pictures: { samples }, from, to }: RecordedRound, signal: AbortSignal): Promise<RoundOutcome> => {
    signal.throwIfAborted();
    const shown = samples.filter(({ wall }) => wall >= from && wall < to);
    const detections = [{ className: 'dent', classId: 0, confidence: 0.9, bbox: { x: 0, y: 0, width: 1, height: 1 }, trackId: null }];
    const results = shown.map(({ frame, wall }) => ({ detector: 'd', result: { frame, capturedAt: wall, model: 'small', modelDigest: 'x', inferenceMs: 1, width: 2, height: 2, detections } }));
    return Promise.resolve({ results, shown: shown.length, undecodable: 0, decoded: shown.length });
  },
  [Symbol.asyncDispose]: () => Promise.resolve(),
});

test('[REC-6] an analysis of a segment that is still written goes on after a restart behind the pictures it has counted', async () => {
  const segment = new GrowingSegment();
  const logger = silentLogger();
  const metrics = createMetrics('test');
  const control = (): AnalysisService => {
    const service = new AnalysisService({
      db, recordings: segment.recordings, models: undefined as never, marks: new MarkService(db, clock), events: new EventService({ db, clock, logger, metrics, retentionHours: 1 }), config: {} as Config, clock, logger, metrics, runner,
    });
    service.start();
    clock.advance(2_000);
    return service;
  };
  await new AnalysisStore(db).insert({
    id: 'job', camera_id: CAMERA, from_ms: 0, to_ms: RANGE_MS, fps: 10, detectors: '[{"id":"d","model":"small","confidence":null}]', state: 'queued', position_ms: 0, pictures: 0, undecodable: 0, missing_segments: 0,
    detections: 0, defect_classes: '["dent"]', error: null, heartbeat_at: null, created_at: 1, created_by: null, finished_at: null,
  });
  const job = () => db.selectFrom('analyses').selectAll().where('id', '=', 'job').executeTakeFirstOrThrow();

  // It has looked at what there is and asks for more when it is stopped.
  const stopped = Promise.withResolvers<undefined>();
  segment.ready = stopped.promise;
  const first = control();
  await expect.poll(() => segment.asked).toEqual([0, 5_000]);
  segment.end = 8_000;
  const ended = first[Symbol.asyncDispose]();
  stopped.resolve(undefined);
  await ended;
  expect(await job()).toMatchObject({ state: 'queued', position_ms: 5_000, pictures: 50, detections: 50 });

  await using _second = control();
  await expect.poll(async () => (await job()).state).toBe('done');
  expect(await job()).toMatchObject({ position_ms: 8_000, pictures: 80, detections: 80, defect_pictures: 80, defect_count: 1, quality_score: 0 });
  const { n } = await db.selectFrom('detections').select((e) => e.fn.countAll().as('n')).executeTakeFirstOrThrow();
  expect(Number(n)).toBe(80);
});
