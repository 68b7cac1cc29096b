import { migration } from '../dialect.ts';

/** Detectors run on recordings: the jobs, and which detections are theirs. */
export const analyses = migration((d) => [
  `create table analyses (id ${d.text} primary key, camera_id ${d.text} not null, from_ms ${d.real} not null, to_ms ${d.real} not null, fps ${d.real} not null, detectors ${d.text} not null,
     state ${d.text} not null check (state in ('queued', 'running', 'done', 'failed', 'cancelled')), position_ms ${d.real} not null, pictures ${d.integer} not null, undecodable ${d.integer} not null,
     missing_segments ${d.integer} not null, detections ${d.integer} not null, error ${d.text}, heartbeat_at ${d.integer}, created_at ${d.integer} not null, created_by ${d.text}, finished_at ${d.integer})`,
  `create index analyses_open on analyses (created_at, id) where state in ('queued', 'running')`,
  `create index analyses_created on analyses (created_at, id)`,
  `create index analyses_camera on analyses (camera_id, created_at, id)`,
  `alter table detections add column analysis_id ${d.text}`,
  `create index detections_analysed on detections (camera_id, captured_at_ms) where analysis_id is not null`,
  `create index detections_analysis on detections (analysis_id, captured_at_ms) where analysis_id is not null`,
  // The sweep of old ones leaves those of analyses alone, and does not look at them either.
  `drop index detections_captured`,
  `create index detections_captured on detections (captured_at_ms) where analysis_id is null`,
  `create index detections_analysed_at on detections (captured_at_ms) where analysis_id is not null`,
]);
