/**
 * Sightings of what analyses of recordings have found: of each camera, class and model, the stretches of time without a break of more than
 * 10 s, cut at every full ten minutes. So they follow from the detections alone, in whatever order those came and went, and a change in
 * one ten minutes touches no others.
 */
import { sql } from 'kysely';
import type { Transaction } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import { holdAlone } from '../../platform/database/dialect.ts';
import type { Database } from '../../platform/database/schema.ts';
import { BREAK_MS, MAX_SIGHTING_MS, forgetSightings } from '../sightings.ts';

/** Unix ms; `end` is exclusive. */
export interface Cells {
  readonly start: Milliseconds;
  readonly end: Milliseconds;
}

/** The ten minutes that these moments are in. */
export const cellsOf = (first: Milliseconds, last: Milliseconds): Cells => ({
  start: Math.floor(first / MAX_SIGHTING_MS) * MAX_SIGHTING_MS,
  end: (Math.floor(last / MAX_SIGHTING_MS) + 1) * MAX_SIGHTING_MS,
});

/** Nobody else changes what analyses found on this camera until the transaction has ended. Before the first such change. */
export const holdFindings = (tx: Transaction<Database>, camera: string): Promise<void> => holdAlone(tx, `findings on ${camera}`);

/** Writes the sightings anew of what analyses by these models say of these times, in the transaction that has changed the detections. */
export const rewriteSightings = async (tx: Transaction<Database>, camera: string, { start, end }: Cells, models: readonly string[]): Promise<void> => {
  if (models.length === 0) return;
  const listed = sql.join(models.map((model) => sql`${model}`));
  await tx.deleteFrom('sightings').where('camera_id', '=', camera).where('first_ms', '>=', start).where('first_ms', '<', end).where('analysed_by', 'in', [...models]).execute();
  await sql`
    insert into sightings (camera_id, class_name, first_ms, last_ms, count, at_once, max_confidence, analysed_by)
    select camera_id, class_name, min(moment), max(moment), sum(n), max(n), max(confidence), model from (
      select *, sum(new) over (partition by model, class_name, cell order by moment) as stretch from (
        select *, case when moment - lag(moment) over (partition by model, class_name, cell order by moment) <= ${sql.lit(BREAK_MS)} then 0 else 1 end as new from (
          select camera_id, model, class_name, captured_at_ms as moment, floor(captured_at_ms / ${sql.lit(MAX_SIGHTING_MS)}.0) as cell, count(*) as n, max(confidence) as confidence
          from detections where analysis_id is not null and camera_id = ${camera} and captured_at_ms >= ${start} and captured_at_ms < ${end} and model in (${listed})
          group by camera_id, model, class_name, captured_at_ms) as pictures) as marked) as numbered
    group by camera_id, model, class_name, cell, stretch`.execute(tx);
  await forgetSightings(tx, camera, start, end, models); // of what the recordings have meanwhile lost
};
