import { migration } from '../dialect.ts';

/** What people and policies say of ranges of recordings, and which segments are in the archive or chained to the one before (ADR 4). */
export const marksAndArchive = migration((d) => [
  `create table marks (id ${d.text} primary key, camera_id ${d.text} not null, from_ms ${d.real} not null, to_ms ${d.real} not null, kind ${d.text} not null check (kind in ('pin', 'link', 'clip')),
     archive ${d.integer} not null, title ${d.text}, note ${d.text}, product_id ${d.text}, inspection_id ${d.text}, work_order_id ${d.text}, instruction_id ${d.text}, product_type ${d.text}, machine_number ${d.text},
     production_date ${d.text}, monthly_sequence ${d.integer}, inspection_result ${d.text}, created_at ${d.integer} not null, created_by ${d.text})`,
  `create index marks_camera on marks (camera_id, from_ms)`,
  `create table mark_tags (mark_id ${d.text} not null references marks (id) on delete cascade, tag ${d.text} not null, primary key (mark_id, tag))`,
  `create index mark_tags_tag on mark_tags (tag, mark_id)`,
  `create table settings (key ${d.text} primary key, value ${d.text} not null)`,
  `alter table segments add column prev_sha256 ${d.text}`,
  `alter table segments add column local ${d.integer} not null default 1`,
  `alter table segments add column archived_at ${d.integer}`,
]);
