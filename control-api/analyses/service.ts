import { randomUUID } from 'node:crypto';
import type { Kysely, Transaction } from 'kysely';
import type { Config } from '../../config/schema.ts';
import type { Clock } from '../../core/clock.ts';
import { MediaError, isUnavailable } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { RecordedDetector, RecordedRound, RoundOutcome } from '../../extractor/port.ts';
import type { Database } from '../../platform/database/schema.ts';
import type { Logger } from '../../platform/logging.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { RecordedSample } from '../../recorder/port.ts';
import { checkPipelines, toDetectors } from '../cameras/service.ts';
import { JobCancelled, JobWorker } from '../job-worker.ts';
import type { EventService } from '../events/service.ts';
import type { MarkService } from '../marks/service.ts';
import type { ModelCatalogue } from '../models.ts';
import type { RecordingService, SegmentRow } from '../recordings/service.ts';
import type { SweepPosition } from '../retention.ts';
import { analysisEvent } from './event.ts';
import { NO_QUALITY, qualityOf } from './quality.ts';
import type { NewAnalysis } from './schemas.ts';
import { AnalysisStore } from './store.ts';
import type { AnalysisFilter, AnalysisRow, NewDetection, PictureRange } from './store.ts';

export type { AnalysisRow } from './store.ts';

/** Decodes and looks at recorded pictures, in processes of its own: `extractor/recorded-detection.ts`. */
export interface RoundRunner extends AsyncDisposable {
  detect(round: RecordedRound, signal: AbortSignal): Promise<RoundOutcome>;
}

export interface AnalysisDeps {
  readonly db: Kysely<Database>;
  readonly recordings: RecordingService;
  readonly models: ModelCatalogue;
  readonly marks: MarkService;
  readonly events: EventService;
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'analysisDecodedFrames'>;
  /** A runner for one job. */
  readonly runner: () => RoundRunner;
}

const LONGEST: Milliseconds = 24 * 3_600_000;
const MOST_OPEN = 100;
const SEGMENTS_AT_ONCE = 50;

/** Jobs that run detectors over recorded ranges, one after the other, and store what they say beside what was said live. */
export class AnalysisService implements AsyncDisposable {
  readonly #deps: AnalysisDeps;
  readonly #store: AnalysisStore;
  readonly #worker: JobWorker<AnalysisRow>;

  constructor(deps: AnalysisDeps) {
    this.#deps = deps;
    this.#store = new AnalysisStore(deps.db);
    const store = this.#store;
    const queue = { claim: store.claim.bind(store), beat: store.beat.bind(store), release: store.release.bind(store), end: this.#end.bind(this) };
    this.#worker = new JobWorker<AnalysisRow>({ what: 'analysis', queue, work: (job, signal) => this.#run(job, signal), clock: deps.clock, logger: deps.logger });
  }

  /** Looks for jobs from now on, those of a process that has died included. */
  start(): void {
    this.#worker.start();
  }

  /** Throws NOT_FOUND (no such camera, or nothing recorded), UNPROCESSABLE (no such detector, too long), RESOURCE_EXHAUSTED. */
  async create(camera: string, { from, to, fps, detectors, defect_classes }: NewAnalysis, by: string | null): Promise<AnalysisRow> {
    const { recordings, models, config, clock } = this.#deps;
    const now = clock.now();
    const until = Math.min(to, now);
    if (until - from > LONGEST) throw new MediaError('UNPROCESSABLE', 'An analysis is at most 24 hours long; ask for several.', { reason: 'RANGE_TOO_LONG' });
    checkPipelines(detectors, await models.names());
    const recorded = from < until ? await recordings.segments(camera, { from, to: until }, undefined, 1) : [];
    if (recorded.length === 0) throw new MediaError('NOT_FOUND', 'Nothing was recorded in this range.', { reason: 'NOTHING_RECORDED', context: { camera } });
    if ((await this.#store.countOpen()) >= MOST_OPEN) throw new MediaError('RESOURCE_EXHAUSTED', `${String(MOST_OPEN)} analyses wait already; try again when some are done.`, { reason: 'TOO_MANY_ANALYSES', retryAfterSeconds: 60 });
    const wanted: RecordedDetector[] = toDetectors(detectors, config.inference).map(({ id, model, confidence }) => ({ id, model, confidence }));
    const row: AnalysisRow = {
      id: randomUUID(), camera_id: camera, from_ms: from, to_ms: until, fps: fps ?? config.inference.default_fps, detectors: JSON.stringify(wanted), state: 'queued', position_ms: from, position_segment: null,
      pictures: 0, undecodable: 0, missing_segments: 0, detections: 0, defect_classes: JSON.stringify([...new Set(defect_classes ?? config.inference.defect_classes)].sort()), defect_pictures: 0, defect_count: null, quality_score: null,
      error: null, heartbeat_at: null, created_at: Math.floor(now), created_by: by, started_at: null, finished_at: null,
    };
    await this.#store.insert(row);
    this.#worker.look();
    return row;
  }

  /** Throws NOT_FOUND. */
  async get(id: string): Promise<AnalysisRow> {
    const row = await this.#store.get(id);
    if (row === undefined) throw notFound();
    return row;
  }

  list(filter: AnalysisFilter, before: readonly [number, string] | undefined, limit: number): Promise<AnalysisRow[]> {
    return this.#store.list(filter, before, limit);
  }

  /** Ends it; what it has found stays. Throws NOT_FOUND, FAILED_PRECONDITION when it has ended. */
  async cancel(id: string): Promise<void> {
    await this.get(id);
    if (!(await this.#end(id, 'cancelled', null, this.#deps.clock.now()))) throw new MediaError('FAILED_PRECONDITION', 'The analysis has ended already.', { reason: 'ANALYSIS_ENDED' });
    this.#worker.interrupt(id);
  }

  /** For the hourly sweep: forgets jobs that ended before `cutoff` and what they have found where no mark keeps it, at most `limit` rows; where to go on. */
  deleteEnded(cutoff: Milliseconds, after: SweepPosition, limit: number): Promise<SweepPosition> {
    return this.#store.deleteEnded(cutoff, after, limit);
  }

  /** The job under way goes on where it stands at the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker[Symbol.asyncDispose]();
  }

  async #run(job: AnalysisRow, signal: AbortSignal): Promise<void> {
    await using detection = this.#deps.runner();
    await this.#analyse(job, detection, signal);
    try {
      await this.#end(job.id, 'done', null, this.#deps.clock.now());
    } catch (error) {
      // All its work is done and stored: who takes it over when the database is there again only ends it.
      if (isUnavailable(error)) throw new JobCancelled();
      throw error;
    }
  }

  /** Ends it, and tells so (SD-56). */
  async #end(id: string, state: 'done' | 'failed' | 'cancelled', error: string | null, now: Milliseconds): Promise<boolean> {
    const { events, marks } = this.#deps;
    const job = await this.#store.get(id);
    if (job === undefined) return false;
    const quality = state === 'done' ? await qualityOf(this.#deps.db, job) : NO_QUALITY;
    const product = await marks.productIn(job.camera_id, { from: job.from_ms, to: job.to_ms });
    const ended = await this.#store.end(id, { state, error, quality }, now, (tx: Transaction<Database>, row) => events.append(tx, analysisEvent(row, product, now)));
    if (ended) events.committed();
    return ended;
  }

  /** Segment by segment, each one's results in one transaction with the position. */
  async #analyse(job: AnalysisRow, detection: RoundRunner, signal: AbortSignal): Promise<void> {
    const { recordings, clock } = this.#deps;
    const detectors = JSON.parse(job.detectors) as RecordedDetector[];
    const defects = new Set(JSON.parse(job.defect_classes) as string[]);
    let newest = job.position_segment; // the segment looked at last: while it is open, it grows
    for (let position = job.position_ms; position < job.to_ms;) {
      signal.throwIfAborted();
      const segments = await recordings.segments(job.camera_id, { from: position, to: job.to_ms }, undefined, SEGMENTS_AT_ONCE).catch(nothingLeft);
      if (segments.length === 0) return;
      for (const segment of segments) {
        // Of a job that an earlier version began it is not known which it was: one that has begun before the position.
        newest ??= position > job.from_ms && segment.start_ms < position ? segment.id : null;
        const round = { camera: job.camera_id, detectors, fps: job.fps, from: segment.id === newest ? position : job.from_ms, to: job.to_ms };
        const seen = await this.#lookAt(segment, round, detection, signal);
        newest = segment.id;
        position = Math.max(position, segment.end_ms);
        const detections = seen === null ? [] : rowsOf(job.camera_id, seen);
        const step = {
          position: Math.min(position, job.to_ms), segment: segment.id, of: seen?.of, models: detectors.map(({ model }) => model), pictures: seen?.shown ?? 0, undecodable: seen?.undecodable ?? 0, missingSegments: seen === null ? 1 : 0,
          detections, defectPictures: picturesWith(defects, detections),
        };
        if (!(await this.#store.advance(job.id, job.camera_id, step, clock.now()))) throw new JobCancelled();
      }
    }
  }

  /** Null when the file has gone. */
  async #lookAt(segment: SegmentRow, round: Omit<RecordedRound, 'pictures'>, detection: RoundRunner, signal: AbortSignal): Promise<(RoundOutcome & { readonly of: PictureRange | undefined }) | null> {
    try {
      const pictures = await this.#deps.recordings.codedPictures(segment);
      if (pictures === null) return { results: [], shown: 0, undecodable: 0, decoded: 0, of: undefined };
      const outcome = await detection.detect({ ...round, pictures }, signal);
      this.#deps.metrics.analysisDecodedFrames.inc({ camera: round.camera }, outcome.decoded);
      return { ...outcome, of: rangeOf(pictures.samples, round) };
    } catch (error) {
      if (error instanceof MediaError && error.code === 'NOT_FOUND') return null;
      throw error;
    }
  }
}

/** Those of a segment's pictures that were captured in [from, to). */
const rangeOf = (samples: readonly RecordedSample[], { from, to }: { readonly from: Milliseconds; readonly to: Milliseconds }): PictureRange | undefined => {
  const [first, ...rest] = samples.filter(({ wall }) => wall >= from && wall < to);
  if (first === undefined) return undefined;
  const start = { epoch: first.frame.epoch, firstSequence: first.frame.seq, lastSequence: first.frame.seq, from: first.wall, to: first.wall };
  return rest.reduce((range, { frame, wall }) => ({
    ...range, firstSequence: Math.min(range.firstSequence, frame.seq), lastSequence: Math.max(range.lastSequence, frame.seq), from: Math.min(range.from, wall), to: Math.max(range.to, wall),
  }), start);
};

const rowsOf = (camera: string, { results }: RoundOutcome): NewDetection[] =>
  results.flatMap(({ result }) => result.detections.map(({ className, classId, confidence, bbox, trackId }) => ({
    camera_id: camera, stream_epoch: result.frame.epoch, rtp_timestamp: result.frame.rtpTs, captured_at_ms: result.capturedAt, sequence: result.frame.seq, class_name: className, class_id: classId,
    confidence, ...bbox, track_id: trackId, model: result.model, model_digest: result.modelDigest,
  })));

/** In how many pictures one of these classes was found. */
const picturesWith = (classes: ReadonlySet<string>, detections: readonly NewDetection[]): number =>
  new Set(detections.filter(({ class_name: name }) => classes.has(name)).map(({ stream_epoch: epoch, sequence }) => `${String(epoch)}/${String(sequence)}`)).size;

const nothingLeft = (error: unknown): [] => {
  if (error instanceof MediaError && error.code === 'NOT_FOUND') return [];
  throw error;
};

const notFound = (): MediaError => new MediaError('NOT_FOUND', 'There is no such analysis.', { reason: 'ANALYSIS_NOT_FOUND' });
