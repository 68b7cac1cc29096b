/** What an analysis that is done says of quality (SD-56). */
import { setImmediate as othersTurn } from 'node:timers/promises';
import type { Kysely, Selectable } from 'kysely';
import type { AnalysesTable, Database } from '../../platform/database/schema.ts';
import { DefectCounter } from './defect-counter.ts';

export type Quality = Pick<Selectable<AnalysesTable>, 'defect_count' | 'quality_score'>;

export const NO_QUALITY: Quality = { defect_count: null, quality_score: null };

/** Pictures of one read: a few milliseconds. */
const PICTURES = 1_000;

/** Counts defects and scores the share of pictures without one; nothing where no classes count as defects. In small steps: a day has millions of pictures. */
export const qualityOf = async (db: Kysely<Database>, job: Selectable<AnalysesTable>): Promise<Quality> => {
  const classes = JSON.parse(job.defect_classes) as string[];
  if (classes.length === 0) return NO_QUALITY;
  const counter = new DefectCounter(job.fps);
  // The moments first, so that a step never ends within one.
  const found = db.selectFrom('detections').where('analysis_id', '=', job.id).where('class_name', 'in', classes);
  for (let after = Number.MIN_SAFE_INTEGER; ; ) {
    const moments = await found.select('captured_at_ms').distinct().where('captured_at_ms', '>', after).orderBy('captured_at_ms').limit(PICTURES).execute();
    const last = moments.at(-1)?.captured_at_ms;
    if (last === undefined) break;
    const rows = await found
      .select((e) => ['class_name', 'model', 'captured_at_ms', e.fn.countAll().as('count')]).where('captured_at_ms', '>', after).where('captured_at_ms', '<=', last)
      .groupBy(['captured_at_ms', 'class_name', 'model']).orderBy('captured_at_ms').execute();
    for (const { class_name: className, model, captured_at_ms: moment, count } of rows) counter.add({ className, model, moment, count: Number(count) });
    after = last;
    await othersTurn();
  }
  return { defect_count: counter.count, quality_score: job.pictures === 0 ? null : 1 - job.defect_pictures / job.pictures };
};
