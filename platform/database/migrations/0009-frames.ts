import { migration } from '../dialect.ts';

/** Single pictures that go to the object store: chosen by rule or by hand (SD-51). */
export const frames = migration((d) => [
  `create table frames (id ${d.text} primary key, camera_id ${d.text} not null, captured_at_ms ${d.real} not null, reason ${d.text} not null check (reason in ('detected', 'manual')), classes ${d.text} not null,
     state ${d.text} not null check (state in ('waiting', 'made', 'stored', 'failed')), object_key ${d.text} not null, width ${d.integer}, height ${d.integer}, bytes ${d.integer}, sha256 ${d.text}, error ${d.text},
     created_at ${d.integer} not null, created_by ${d.text}, stored_at ${d.integer})`,
  `create unique index frames_key on frames (object_key)`,
  `create index frames_open on frames (captured_at_ms, id) where state in ('waiting', 'made')`,
  `create index frames_captured on frames (captured_at_ms, id)`,
  `create index frames_camera on frames (camera_id, captured_at_ms, id)`,
]);
