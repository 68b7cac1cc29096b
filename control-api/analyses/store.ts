import type { Kysely, Selectable } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import { dialectOf } from '../../platform/database/dialect.ts';
import { cellsOf, holdFindings, rewriteSightings } from './found-sightings.ts';
import { DEAD_AFTER } from '../job-worker.ts';
import type { JobQueue } from '../job-worker.ts';
import type { AnalysesTable, Database, DetectionsTable } from '../../platform/database/schema.ts';

export type AnalysisRow = Selectable<AnalysesTable>;
export type NewDetection = Omit<Selectable<DetectionsTable>, 'id' | 'analysis_id'>;

export interface AnalysisFilter {
  readonly camera?: string | undefined;
  readonly state?: AnalysisRow['state'] | undefined;
}

/** Pictures that follow each other in one epoch. Of segments the times may overlap by some milliseconds, their pictures do not. */
export interface PictureRange {
  readonly epoch: number;
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** Unix ms, of the earliest and the latest. */
  readonly from: Milliseconds;
  readonly to: Milliseconds;
}

/** What one more segment has brought. */
export interface Step {
  /** Everything before is done. */
  readonly position: Milliseconds;
  /** Which pictures the detections are of; undefined: none was there. */
  readonly of: PictureRange | undefined;
  readonly models: readonly string[];
  readonly pictures: number;
  readonly undecodable: number;
  readonly missingSegments: number;
  readonly detections: readonly NewDetection[];
}

/** 17 columns; the databases take more parameters. */
const ROWS_PER_STATEMENT = 500;

export class AnalysisStore implements JobQueue<AnalysisRow> {
  readonly #db: Kysely<Database>;
  constructor(db: Kysely<Database>) { this.#db = db; }

  async insert(row: AnalysisRow): Promise<void> {
    await this.#db.insertInto('analyses').values(row).execute();
  }

  /** How many wait or run. */
  async countOpen(): Promise<number> {
    const { n } = await this.#db.selectFrom('analyses').select((e) => e.fn.countAll().as('n')).where('state', 'in', ['queued', 'running']).executeTakeFirstOrThrow();
    return Number(n);
  }

  get(id: string): Promise<AnalysisRow | undefined> {
    return this.#db.selectFrom('analyses').selectAll().where('id', '=', id).executeTakeFirst();
  }

  /** Newest first. */
  list({ camera, state }: AnalysisFilter, before: readonly [number, string] | undefined, limit: number): Promise<AnalysisRow[]> {
    let query = this.#db.selectFrom('analyses').selectAll().orderBy('created_at', 'desc').orderBy('id', 'desc').limit(limit);
    if (camera !== undefined) query = query.where('camera_id', '=', camera);
    if (state !== undefined) query = query.where('state', '=', state);
    if (before !== undefined) query = query.where((e) => e.or([e('created_at', '<', before[0]), e.and([e('created_at', '=', before[0]), e('id', '<', before[1])])]));
    return query.execute();
  }

  /** Takes the next job: the oldest that waits, or whose process has died. Two processes never take the same. */
  claim(now: Milliseconds): Promise<AnalysisRow | undefined> {
    return this.#db.transaction().execute(async (tx) => {
      const next = await tx.selectFrom('analyses').selectAll()
        .where((e) => e.or([e('state', '=', 'queued'), e.and([e('state', '=', 'running'), e('heartbeat_at', '<', Math.floor(now - DEAD_AFTER))])]))
        .orderBy('created_at').orderBy('id').limit(1).$if(dialectOf(tx).shared, (query) => query.forUpdate().skipLocked()).executeTakeFirst();
      if (next === undefined) return undefined;
      await tx.updateTable('analyses').set({ state: 'running', heartbeat_at: Math.floor(now) }).where('id', '=', next.id).execute();
      return { ...next, state: 'running' as const };
    });
  }

  /** Gives a job back that is to go on later, where it stands. */
  async release(id: string): Promise<void> {
    await this.#db.updateTable('analyses').set({ state: 'queued', heartbeat_at: null }).where('id', '=', id).where('state', '=', 'running').execute();
  }

  /** This process still works on it. False when it was cancelled or another process has taken it. */
  async beat(id: string, now: Milliseconds): Promise<boolean> {
    const result = await this.#db.updateTable('analyses').set({ heartbeat_at: Math.floor(now) }).where('id', '=', id).where('state', '=', 'running').executeTakeFirst();
    return result.numUpdatedRows > 0n;
  }

  /**
   * Writes a segment's results in place of what earlier analyses said of the same pictures by the same models, so that a repetition changes nothing;
   * and with them the sightings by which searches find them.
   * False when the job was cancelled meanwhile: nothing is written.
   */
  advance(id: string, camera: string, step: Step, now: Milliseconds): Promise<boolean> {
    return this.#db.transaction().execute(async (tx) => {
      const result = await tx.updateTable('analyses')
        .set((e) => ({
          position_ms: step.position, heartbeat_at: Math.floor(now), pictures: e('pictures', '+', step.pictures), undecodable: e('undecodable', '+', step.undecodable),
          missing_segments: e('missing_segments', '+', step.missingSegments), detections: e('detections', '+', step.detections.length),
        }))
        .where('id', '=', id).where('state', '=', 'running').executeTakeFirst();
      if (result.numUpdatedRows === 0n) return false;
      await holdFindings(tx, camera);
      if (step.of !== undefined) {
        const { epoch, firstSequence, lastSequence, from, to } = step.of;
        await tx.deleteFrom('detections').where('camera_id', '=', camera).where('captured_at_ms', '>=', from).where('captured_at_ms', '<=', to).where('analysis_id', 'is not', null)
          .where('stream_epoch', '=', epoch).where('sequence', '>=', firstSequence).where('sequence', '<=', lastSequence).where('model', 'in', [...step.models]).execute();
      }
      for (let i = 0; i < step.detections.length; i += ROWS_PER_STATEMENT) {
        await tx.insertInto('detections').values(step.detections.slice(i, i + ROWS_PER_STATEMENT).map((row) => ({ ...row, analysis_id: id }))).execute();
      }
      if (step.of !== undefined) await rewriteSightings(tx, camera, cellsOf(step.of.from, step.of.to), step.models);
      return true;
    });
  }

  /** Ends a job that waits or runs. False when it has ended already. */
  async end(id: string, state: 'done' | 'failed' | 'cancelled', error: string | null, now: Milliseconds): Promise<boolean> {
    const result = await this.#db.updateTable('analyses').set({ state, error, heartbeat_at: null, finished_at: Math.floor(now) })
      .where('id', '=', id).where('state', 'in', ['queued', 'running']).executeTakeFirst();
    return result.numUpdatedRows > 0n;
  }

  /**
   * Deletes at most `limit` detections of the oldest job that ended before `cutoff`, and their sightings; and the job when none is left. How many
   * rows; `limit` while there may be more.
   */
  deleteEnded(cutoff: Milliseconds, limit: number): Promise<number> {
    return this.#db.transaction().execute(async (tx) => {
      const job = await tx.selectFrom('analyses').select(['id', 'camera_id']).where('finished_at', '<', Math.floor(cutoff)).orderBy('finished_at').limit(1).executeTakeFirst();
      if (job === undefined) return 0;
      await holdFindings(tx, job.camera_id);
      const first = await tx.selectFrom('detections').select('captured_at_ms').where('analysis_id', '=', job.id).orderBy('captured_at_ms').limit(1).executeTakeFirst();
      if (first === undefined) await tx.deleteFrom('analyses').where('id', '=', job.id).execute();
      else {
        // No more than ten minutes at once: so many sightings are written anew.
        const cells = cellsOf(first.captured_at_ms, first.captured_at_ms);
        const deleted = await tx.deleteFrom('detections')
          .where('id', 'in', (e) => e.selectFrom('detections').select('id').where('analysis_id', '=', job.id).where('captured_at_ms', '<', cells.end).orderBy('captured_at_ms').limit(limit))
          .returning('model').execute();
        await rewriteSightings(tx, job.camera_id, cells, [...new Set(deleted.map(({ model }) => model))]);
      }
      return limit; // there may be another one behind it
    });
  }
}
