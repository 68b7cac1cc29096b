import { migration } from '../dialect.ts';

/**
 * `seq` orders marks by their beginning (`control-api/marks/order.ts`), so that every search reads the newest first from one index and
 * stops when its page is full. And what finds the marks that still keep something on an edge's disk.
 */
export const markOrder = migration((d) => [
  `alter table marks add column seq ${d.integer}`,
  `update marks set seq = from_ms * 1024 + (select count(*) from marks o where o.from_ms = marks.from_ms and o.id < marks.id)`,
  `create unique index marks_seq on marks (seq)`,
  `drop index marks_camera`,
  `create index marks_camera on marks (camera_id, seq)`,
  ...['product_id', 'inspection_id', 'work_order_id', 'instruction_id', 'product_type', 'machine_number', 'production_date', 'inspection_result'].map(
    (column) => `create index marks_${column} on marks (${column}, seq) where ${column} is not null`,
  ),
  `alter table mark_tags add column seq ${d.integer}`,
  `update mark_tags set seq = (select seq from marks where marks.id = mark_tags.mark_id)`,
  `drop index mark_tags_tag`,
  `create index mark_tags_tag on mark_tags (tag, seq)`,
  `create index marks_on_disk on marks (camera_id, from_ms) where archive = 0`,
  `create index marks_to_archive on marks (camera_id, to_ms) where archive = 1`,
  `create index segments_waiting on segments (camera_id, start_ms) where expired_at is null and local = 1 and archived_at is null`,
]);
