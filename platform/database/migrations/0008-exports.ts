import { migration } from '../dialect.ts';

/** Recordings with boxes drawn into them: the jobs that make the files. */
export const exports = migration((d) => [
  `create table exports (id ${d.text} primary key, camera_id ${d.text} not null, from_ms ${d.real} not null, to_ms ${d.real} not null, analysis_id ${d.text},
     state ${d.text} not null check (state in ('queued', 'running', 'done', 'failed', 'cancelled')), progress ${d.real} not null, pictures ${d.integer} not null, undecodable ${d.integer} not null,
     missing_segments ${d.integer} not null, boxes ${d.integer} not null, bytes ${d.integer}, error ${d.text}, heartbeat_at ${d.integer}, created_at ${d.integer} not null, created_by ${d.text}, finished_at ${d.integer})`,
  `create index exports_open on exports (created_at, id) where state in ('queued', 'running')`,
  `create index exports_created on exports (created_at, id)`,
  `create index exports_camera on exports (camera_id, created_at, id)`,
]);
