import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** The tables of first light. Never edited once released: a change of shape is another migration. */
const STATEMENTS = [
  `create table cameras (id text primary key, name text not null, source text not null, pipelines text not null, recording text not null,
     created_at integer not null, updated_at integer not null, deleted_at integer, extra text not null default '{}')`,
  `create table camera_keys (id text primary key, camera_id text not null, kind text not null check (kind in ('publish', 'view')),
     hash text not null unique, ha1 text not null, created_at integer not null, revoked_at integer)`,
  `create index camera_keys_camera on camera_keys (camera_id)`,
  `create table users (id text primary key, username text not null unique, password_hash text not null, role text not null,
     created_at integer not null, disabled_at integer)`,
  `create table refresh_tokens (id text primary key, family text not null, user_id text not null references users (id) on delete cascade,
     hash text not null unique, expires_at integer not null, used_at integer, revoked_at integer)`,
  `create index refresh_tokens_family on refresh_tokens (family)`,
  `create index refresh_tokens_user on refresh_tokens (user_id)`,
  `create table revoked_tokens (jti text primary key, expires_at integer not null)`,
  `create table signing_keys (kid text primary key, private_jwk text not null, public_jwk text not null, created_at integer not null,
     retired_at integer)`,
  `create table audit (id integer primary key autoincrement, at integer not null, principal text, action text not null, target text,
     result text not null, detail text)`,
  `create index audit_at on audit (at)`,
  `create table edges (journal_id text primary key, edge_id text not null, last_seq integer not null, media_base_url text not null,
     seen_at integer not null)`,
  `create table sessions (id text primary key, camera_id text not null, phase text not null, protocol text not null, started_at real not null,
     ended_at real, reason text, epoch integer)`,
  `create index sessions_camera on sessions (camera_id, started_at)`,
  `create table segments (id text primary key, camera_id text not null, session_id text not null, epoch integer not null, start_ms real not null,
     end_ms real not null, bytes integer not null, sha256 text, open integer not null, tracks text not null, gap_before real, expired_at integer)`,
  `create index segments_camera_start on segments (camera_id, start_ms)`,
  `create table detections (id integer primary key autoincrement, camera_id text not null, stream_epoch integer not null, rtp_timestamp integer not null,
     captured_at_ms real not null, sequence integer not null, class_name text not null, class_id integer not null, confidence real not null,
     x real not null, y real not null, width real not null, height real not null, track_id text, model text not null, model_digest text not null)`,
  `create index detections_camera_captured on detections (camera_id, captured_at_ms)`,
  `create index detections_captured on detections (captured_at_ms)`,
  `create table alarms (id text primary key, camera_id text, code text not null, message text not null, raised integer not null, at integer not null)`,
];

export const firstLight: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};
