/** What was committed lately and may have no clip: the process that was to make it was killed in the second between. */
import type { Kysely } from 'kysely';
import type { Milliseconds } from '../../core/units.ts';
import type { Database } from '../../platform/database/schema.ts';
import type { SaidByRule, SeenPicture } from './service.ts';

/** Of one camera: the newest, for they may have no clip yet. */
const MOST_ROWS = 5_000;
/** Events of any kind, among which those of rules are looked for. */
const MOST_EVENTS = 50_000;

/** Pictures of a camera with live detections of these classes, at least so surely, captured in [from, to); the newest of them, oldest first. */
export const recentPictures = async (db: Kysely<Database>, camera: string, classes: readonly string[], leastConfidence: number, from: Milliseconds, to: Milliseconds): Promise<SeenPicture[]> => {
  const rows = await db.selectFrom('detections').select(['captured_at_ms', 'class_name', 'confidence']).where('camera_id', '=', camera).where('analysis_id', 'is', null)
    .where('captured_at_ms', '>=', from).where('captured_at_ms', '<', to).where('class_name', 'in', [...classes]).where('confidence', '>=', leastConfidence)
    .orderBy('captured_at_ms', 'desc').limit(MOST_ROWS).execute();
  return rows.toReversed().map(({ captured_at_ms: capturedAt, class_name: className, confidence }) => ({ camera, capturedAt, detections: [{ className, confidence }] }));
};

/** What rules said that ended, or was last told of, in [from, to), oldest first; of the newest events alone, whose number is bounded. */
export const recentFindings = async (db: Kysely<Database>, from: Milliseconds, to: Milliseconds): Promise<SaidByRule[]> => {
  const newest = await db.selectFrom('events').select('id').orderBy('id', 'desc').limit(1).executeTakeFirst();
  const rows = await db.selectFrom('events').select(['camera_id', 'body']).where('topic', '=', 'video-analysis-events').where('id', '>', (newest?.id ?? 0) - MOST_EVENTS).where('at_ms', '>=', from).where('at_ms', '<', to)
    .orderBy('id').execute();
  return rows.flatMap(({ camera_id: camera, body }) => {
    const told = JSON.parse(body) as { readonly from?: string | null; readonly to?: string | null; readonly rule?: { readonly id: string; readonly detector: string; readonly class_names: readonly string[] } };
    if (camera === null || told.rule === undefined || told.from == null || told.to == null) return [];
    return [{ camera, detector: told.rule.detector, rule: told.rule.id, from: Date.parse(told.from), to: Date.parse(told.to), classes: told.rule.class_names }];
  });
};
