import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** What people and policies say of ranges of recordings, and which segments are in the archive or chained to the one before (ADR 4). */
const STATEMENTS = [
  `create table marks (id text primary key, camera_id text not null, from_ms real not null, to_ms real not null, kind text not null check (kind in ('pin', 'link', 'clip')),
     archive integer not null, title text, note text, product_id text, inspection_id text, work_order_id text, instruction_id text, product_type text, machine_number text,
     production_date text, monthly_sequence integer, inspection_result text, created_at integer not null, created_by text)`,
  `create index marks_camera on marks (camera_id, from_ms)`,
  `create table mark_tags (mark_id text not null references marks (id) on delete cascade, tag text not null, primary key (mark_id, tag))`,
  `create index mark_tags_tag on mark_tags (tag, mark_id)`,
  `alter table segments add column prev_sha256 text`,
  `alter table segments add column local integer not null default 1`,
  `alter table segments add column archived_at integer`,
];

export const marksAndArchive: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};
