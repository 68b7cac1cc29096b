import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type { Kysely } from 'kysely';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Database } from '../../platform/database/schema.ts';
import type { Logger } from '../../platform/logging.ts';
import type { AnnotatedExporter, RecordedFile } from '../../recorder/port.ts';
import type { AnalysisService } from '../analyses/service.ts';
import type { DetectionService } from '../detections/service.ts';
import { JobCancelled, JobWorker } from '../job-worker.ts';
import type { RecordingService } from '../recordings/service.ts';
import { boxesOfRun } from './drawn-boxes.ts';
import { ExportFiles } from './export-files.ts';
import type { NewExport } from './schemas.ts';
import { ExportStore } from './store.ts';
import type { ExportFilter, ExportRow } from './store.ts';

export type { ExportRow } from './store.ts';

export interface ExportDeps {
  readonly db: Kysely<Database>;
  readonly recordings: RecordingService;
  readonly detections: DetectionService;
  readonly analyses: AnalysisService;
  /** Makes one file, in a process of its own. */
  readonly exporter: AnnotatedExporter;
  /** Where the files lie. */
  readonly folder: string;
  /** No export goes on when less of the disk is free. */
  readonly minFreeBytes: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

const LONGEST: Milliseconds = 3_600_000;
const MOST_OPEN = 20;
const LARGEST_BYTES = 8 * 1024 ** 3;
/** Of finished files; the oldest go. */
const MOST_FILES = 50;
const MOST_BYTES = 20 * 1024 ** 3;
const NOTE_PERIOD: Milliseconds = 1_000;

/** Jobs that make files of recorded ranges with boxes drawn in, one after the other; the files are kept for a while. */
export class ExportService implements AsyncDisposable {
  readonly #deps: ExportDeps;
  readonly #store: ExportStore;
  readonly #files: ExportFiles;
  readonly #worker: JobWorker<ExportRow>;

  constructor(deps: ExportDeps) {
    this.#deps = deps;
    this.#store = new ExportStore(deps.db);
    this.#files = new ExportFiles(deps.folder);
    this.#worker = new JobWorker({ what: 'export', queue: this.#store, work: (job, signal) => this.#run(job, signal), clock: deps.clock, logger: deps.logger });
  }

  /** Looks for jobs from now on, those of a process that has died included. */
  start(): void {
    this.#worker.start();
  }

  /** Throws NOT_FOUND (no such camera or analysis, or nothing recorded), UNPROCESSABLE (too long, another camera's analysis), RESOURCE_EXHAUSTED. */
  async create(camera: string, { from, to, analysis }: NewExport, by: string | null): Promise<ExportRow> {
    const { recordings, analyses, clock } = this.#deps;
    const now = clock.now();
    const until = Math.min(to, now);
    if (until - from > LONGEST) throw new MediaError('UNPROCESSABLE', 'An export with boxes is at most an hour long; ask for several.', { reason: 'RANGE_TOO_LONG' });
    if (analysis !== undefined && (await analyses.get(analysis)).camera_id !== camera) throw new MediaError('UNPROCESSABLE', 'The analysis is of another camera.', { reason: 'ANALYSIS_OF_ANOTHER_CAMERA', context: { camera } });
    const recorded = from < until ? await recordings.segments(camera, { from, to: until }, undefined, 1) : [];
    if (recorded.length === 0) throw new MediaError('NOT_FOUND', 'Nothing was recorded in this range.', { reason: 'NOTHING_RECORDED', context: { camera } });
    const row: ExportRow = {
      id: randomUUID(), camera_id: camera, from_ms: from, to_ms: until, analysis_id: analysis ?? null, state: 'queued', progress: 0, pictures: 0, undecodable: 0, missing_segments: 0, boxes: 0, bytes: null,
      error: null, heartbeat_at: null, created_at: Math.floor(now), created_by: by, finished_at: null,
    };
    if (!(await this.#store.insert(row, MOST_OPEN))) throw new MediaError('RESOURCE_EXHAUSTED', `${String(MOST_OPEN)} exports wait already; try again when some are done.`, { reason: 'TOO_MANY_EXPORTS', retryAfterSeconds: 60 });
    this.#worker.look();
    return row;
  }

  /** Throws NOT_FOUND. */
  async get(id: string): Promise<ExportRow> {
    const row = await this.#store.get(id);
    if (row === undefined) throw new MediaError('NOT_FOUND', 'There is no such export; it may have been deleted, or forgotten after its time.', { reason: 'EXPORT_NOT_FOUND' });
    return row;
  }

  list(filter: ExportFilter, before: readonly [number, string] | undefined, limit: number): Promise<ExportRow[]> {
    return this.#store.list(filter, before, limit);
  }

  /** The finished file, and its name for who keeps it. Throws NOT_FOUND, FAILED_PRECONDITION while there is none. */
  async file(id: string): Promise<{ readonly file: RecordedFile; readonly name: string }> {
    const row = await this.get(id);
    if (row.state !== 'done') throw new MediaError('FAILED_PRECONDITION', `The export is ${row.state}: there is no file.`, { reason: 'EXPORT_NOT_DONE' });
    return { file: await this.#files.open(id), name: `${row.camera_id}-${new Date(row.from_ms).toISOString().replace(/[:.]/g, '-')}-boxes.mp4` };
  }

  /** Ends one that waits or runs; forgets one that has ended, with its file. Throws NOT_FOUND. */
  async delete(id: string): Promise<'cancelled' | 'deleted'> {
    await this.get(id);
    if (await this.#store.end(id, 'cancelled', null, this.#deps.clock.now())) {
      this.#worker.interrupt(id);
      return 'cancelled';
    }
    await this.#forget(id);
    return 'deleted';
  }

  /** Forgets at most `limit` that ended before `cutoff`, with their files; how many. */
  async deleteEnded(cutoff: Milliseconds, limit: number): Promise<number> {
    const ids = await this.#store.ended(cutoff, limit);
    for (const id of ids) await this.#forget(id);
    return ids.length;
  }

  /** Deletes files no job knows: left behind by a process that died. */
  async deleteStrays(): Promise<void> {
    for (const { id, path, finished } of await this.#files.list()) {
      if (!(await this.#store.is(id, finished ? ['done', 'running'] : ['running']))) await rm(path, { force: true });
    }
  }

  /** The job under way begins again at the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker[Symbol.asyncDispose]();
  }

  async #run(job: ExportRow, signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    await this.deleteStrays();
    const partial = await this.#files.partial(job.id);
    try {
      await this.#make(job, partial, signal);
      await this.#files.finish(job.id, partial);
      if (!(await this.#store.end(job.id, 'done', null, clock.now()))) await this.#files.remove(job.id);
      await this.#makeRoom();
    } finally {
      await rm(partial, { force: true });
    }
  }

  async #make(job: ExportRow, path: string, signal: AbortSignal): Promise<void> {
    const { recordings, detections, exporter, clock } = this.#deps;
    const camera = job.camera_id;
    await this.#checkDisk(camera);
    const pictures = await recordings.rangePictures({ camera, from: job.from_ms, to: job.to_ms }, signal);
    let noted = clock.monotonic();
    const made = await exporter({
      camera, pictures, path, maxBytes: LARGEST_BYTES, boxesOf: (run) => boxesOfRun(detections, camera, job.analysis_id, run),
      onProgress: async (at, { boxes, missing }) => {
        const now = clock.monotonic();
        if (now - noted < NOTE_PERIOD) return;
        noted = now;
        await this.#checkDisk(camera);
        // The last hundredth is for what comes after the last picture.
        if (!(await this.#store.advance(job.id, { progress: Math.min(0.99, at / Math.max(1, pictures.length)), boxes, missing_segments: missing }, clock.now()))) throw new JobCancelled();
      },
    }, signal);
    const { bytes, pictures: count, undecodable, boxes, missing } = made;
    if (!(await this.#store.advance(job.id, { bytes, pictures: count, undecodable, boxes, missing_segments: missing }, clock.now()))) throw new JobCancelled();
  }

  /** Recordings come first: what they are to have free is not for exports. */
  async #checkDisk(camera: string): Promise<void> {
    if ((await this.#files.free()) >= this.#deps.minFreeBytes) return;
    throw new MediaError('RESOURCE_EXHAUSTED', `The export of camera ${camera} ended because the disk is almost full and recordings come first: make room, delete exports you have downloaded, then ask for it again.`, { reason: 'DISK_FULL' });
  }

  async #makeRoom(): Promise<void> {
    let [files, bytes] = [0, 0];
    for (const each of await this.#store.files()) {
      files++;
      bytes += each.bytes ?? 0;
      if (files > 1 && (files > MOST_FILES || bytes > MOST_BYTES)) await this.#forget(each.id);
    }
  }

  async #forget(id: string): Promise<void> {
    await this.#store.delete(id);
    await this.#files.remove(id);
  }
}
