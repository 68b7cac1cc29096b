import { expect, test } from 'vitest';
import { freshDatabase } from '../../platform/testing/fresh-database.ts';
import { presencesOf } from './presence.ts';
import { DetectionStore } from './store.ts';

const row = (captured_at_ms: number, class_name: string, confidence: number, camera_id = 'cam') => ({
  camera_id, stream_epoch: 1, rtp_timestamp: 1, captured_at_ms, sequence: 1, class_name, class_id: 1, confidence, x: 0, y: 0, width: 1, height: 1, track_id: null, model: 'm', model_digest: 'd',
});

test('[REC-5] detections of one class become one presence until it is away for two seconds', async () => {
  const db = await freshDatabase();
  await db.insertInto('detections').values([
    row(1_000, 'scratch', 0.5), row(1_900, 'scratch', 0.7), row(4_999, 'scratch', 0.6), row(8_000, 'scratch', 0.4), row(2_500, 'dent', 0.9), row(3_000, 'scratch', 0.99, 'other'), row(20_000, 'scratch', 1),
  ]).execute();
  const seconds = await new DetectionStore(db).seconds('cam', 1_000, 20_000, 100);
  expect(presencesOf(seconds)).toEqual([
    { className: 'scratch', start: 1_000, end: 5_000, count: 3, maxConfidence: 0.7 },
    { className: 'dent', start: 2_000, end: 3_000, count: 1, maxConfidence: 0.9 },
    { className: 'scratch', start: 8_000, end: 9_000, count: 1, maxConfidence: 0.4 },
  ]);
  await db.destroy();
});

test('[REC-5] what was seen live and found by an analysis, too, is one presence, and not counted twice', async () => {
  const db = await freshDatabase();
  const found = (at: number, confidence: number, model: string) => ({ ...row(at, 'scratch', confidence), model, analysis_id: 'a' });
  const live = [row(1_000, 'scratch', 0.5), row(1_500, 'scratch', 0.7)].map((one) => ({ ...one, analysis_id: null }));
  await db.insertInto('detections').values([...live, found(1_000, 0.5, 'm'), found(1_250, 0.5, 'm'), found(1_500, 0.9, 'm'), found(1_500, 0.6, 'other'), found(2_100, 0.5, 'm')]).execute();
  expect(presencesOf(await new DetectionStore(db).seconds('cam', 1_000, 20_000, 100))).toEqual([{ className: 'scratch', start: 1_000, end: 3_000, count: 4, maxConfidence: 0.9 }]);
  await db.destroy();
});

test('[REC-5] ten minutes of 15 detections a second are a few hundred bytes of playlist, a change of class every ten seconds a few kilobytes', () => {
  const steady = presencesOf(Array.from({ length: 600 }, (_, second) => ({ class_name: 'scratch', second, count: 15, max_confidence: 0.9 })));
  expect(steady).toEqual([{ className: 'scratch', start: 0, end: 600_000, count: 9_000, maxConfidence: 0.9 }]);
  const classes = Array.from({ length: 600 }, (_, second) => ({ class_name: `class ${String(Math.floor(second / 10) % 4)}`, second, count: 15, max_confidence: 0.9 })).sort((a, b) => (a.class_name < b.class_name ? -1 : 1));
  expect(presencesOf(classes)).toHaveLength(60);
});
