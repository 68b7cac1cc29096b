import { sql } from 'kysely';
import type { Insertable, Kysely, Selectable, Transaction } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import { dialectOf, holdAlone } from '../../platform/database/dialect.ts';
import { cellsOf, holdFindings, rewriteSightings } from './found-sightings.ts';
import type { Quality } from './quality.ts';
import { DEAD_AFTER } from '../job-worker.ts';
import type { JobQueue } from '../job-worker.ts';
import { rowsInGaps, unmarked } from '../marks/service.ts';
import type { Range } from '../marks/service.ts';
import type { SweepPosition } from '../retention.ts';
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
  /** Its id. */
  readonly segment: string;
  /** Which pictures the detections are of; undefined: none was there. */
  readonly of: PictureRange | undefined;
  readonly models: readonly string[];
  readonly pictures: number;
  readonly undecodable: number;
  readonly missingSegments: number;
  /** Pictures with a defect. */
  readonly defectPictures: number;
  readonly detections: readonly NewDetection[];
}

/** How a job ends. */
export interface AnalysisEnd {
  readonly state: 'done' | 'failed' | 'cancelled';
  readonly error: string | null;
  readonly quality: Quality;
}

/** 17 columns; the databases take more parameters. */
const ROWS_PER_STATEMENT = 500;
/** Before every job. */
const FIRST = [0, ''] as const;
const EVER: readonly Range[] = [{ from: 0, to: Number.MAX_SAFE_INTEGER }];

export class AnalysisStore implements Omit<JobQueue<AnalysisRow>, 'end'> {
  readonly #db: Kysely<Database>;
  constructor(db: Kysely<Database>) { this.#db = db; }

  async insert(row: Insertable<AnalysesTable>): Promise<void> {
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

  /**
   * Takes the next job: the oldest that waits, or whose process has died. Two processes never take the same, nor two of one camera at once: each puts
   * its results in the place of the other's, and one would end with what is left of them.
   */
  claim(now: Milliseconds): Promise<AnalysisRow | undefined> {
    return this.#db.transaction().execute(async (tx) => {
      await holdAlone(tx, 'analyses claim');
      const running = tx.selectFrom('analyses as other').select('other.camera_id').where('other.state', '=', 'running');
      const next = await tx.selectFrom('analyses').selectAll()
        .where((e) => e.or([e.and([e('state', '=', 'queued'), e('camera_id', 'not in', running)]), e.and([e('state', '=', 'running'), e('heartbeat_at', '<', Math.floor(now - DEAD_AFTER))])]))
        .orderBy('created_at').orderBy('id').limit(1).$if(dialectOf(tx).shared, (query) => query.forUpdate().skipLocked()).executeTakeFirst();
      if (next === undefined) return undefined;
      const started = next.started_at ?? Math.floor(now);
      await tx.updateTable('analyses').set({ state: 'running', heartbeat_at: Math.floor(now), started_at: started }).where('id', '=', next.id).execute();
      return { ...next, state: 'running' as const, started_at: started };
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
          position_ms: step.position, position_segment: step.segment, heartbeat_at: Math.floor(now), pictures: e('pictures', '+', step.pictures), undecodable: e('undecodable', '+', step.undecodable),
          missing_segments: e('missing_segments', '+', step.missingSegments), detections: e('detections', '+', step.detections.length),
          defect_pictures: e('defect_pictures', '+', step.defectPictures),
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

  /** Ends a job that waits or runs; `tell` writes what belongs to that into the same transaction. False when it has ended already. */
  end(id: string, { state, error, quality }: AnalysisEnd, now: Milliseconds, tell: (tx: Transaction<Database>, ended: AnalysisRow) => Promise<void>): Promise<boolean> {
    return this.#db.transaction().execute(async (tx) => {
      const ended = await tx.updateTable('analyses').set({ state, error, ...quality, heartbeat_at: null, finished_at: Math.floor(now) })
        .where('id', '=', id).where('state', 'in', ['queued', 'running']).returningAll().executeTakeFirst();
      if (ended === undefined) return false;
      await tell(tx, ended);
      return true;
    });
  }

  /**
   * Of the first job behind `after` that ended before `cutoff`: deletes at most `limit` detections that no mark covers, all within ten minutes, and
   * writes the sightings of these anew; and the job when it has none left and no mark touches its range. Resolves with where to go on,
   * undefined when it is through.
   */
  deleteEnded(cutoff: Milliseconds, after: SweepPosition, limit: number): Promise<SweepPosition> {
    const [at, id] = after ?? FIRST;
    return this.#db.transaction().execute(async (tx) => {
      const job = await tx.selectFrom('analyses').select(['id', 'camera_id as camera', 'from_ms as from', 'to_ms as to', 'finished_at']).where('finished_at', '<', Math.floor(cutoff))
        // The first condition is implied by the second; it lets the database seek in the index.
        .where('finished_at', '>=', at).where((e) => e.or([e('finished_at', '>', at), e('id', '>', id)])).orderBy('finished_at').orderBy('id').limit(1).executeTakeFirst();
      if (job?.finished_at == null) return undefined;
      await holdFindings(tx, job.camera);
      let marked = false;
      for (let from = job.from; from < job.to;) {
        const { gaps, end } = await unmarked(tx, job.camera, { from, to: job.to });
        const [only] = gaps;
        marked ||= end < job.to || only?.from !== from || only.to !== end;
        if (await this.#deleteFound(tx, job, marked ? gaps : EVER, limit)) return [at, id]; // there may be more
        from = end;
      }
      if (!marked) await tx.deleteFrom('analyses').where('id', '=', job.id).execute();
      return [job.finished_at, job.id];
    });
  }

  /** False when it has found nothing in these times. */
  async #deleteFound(tx: Transaction<Database>, job: { readonly id: string; readonly camera: string }, gaps: readonly Range[], limit: number): Promise<boolean> {
    const found = await rowsInGaps<{ id: number; at: Milliseconds; model: string }>(tx, gaps, {
      columns: sql`r.id, r.captured_at_ms as at, r.model`, table: 'detections', where: sql`r.analysis_id = ${job.id} and r.captured_at_ms >= g.from_ms and r.captured_at_ms < g.to_ms`, limit,
    });
    const [first] = found;
    if (first === undefined) return false;
    // No more than ten minutes at once: so many sightings are written anew.
    const cells = cellsOf(first.at, first.at);
    const gone = found.filter(({ at }) => at >= cells.start && at < cells.end);
    for (let i = 0; i < gone.length; i += ROWS_PER_STATEMENT) await tx.deleteFrom('detections').where('id', 'in', gone.slice(i, i + ROWS_PER_STATEMENT).map((row) => row.id)).execute();
    await rewriteSightings(tx, job.camera, cells, [...new Set(gone.map(({ model }) => model))]);
    return true;
  }
}
