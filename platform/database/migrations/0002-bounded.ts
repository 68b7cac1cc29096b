import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/**
 * Indexes of listed segments alone, so that what retention gave up costs lists nothing (rows are kept for a week after that), and what the
 * sweep needs to find old rows without looking at the others.
 */
const STATEMENTS = [
  `drop index segments_camera_start`,
  `create index segments_listed on segments (camera_id, start_ms) where expired_at is null`,
  // Runs of segments are summed from this index alone.
  `create index segments_runs on segments (camera_id, session_id, start_ms, end_ms, bytes, open) where expired_at is null`,
  `create index segments_breaks on segments (camera_id, session_id, start_ms) where expired_at is null and gap_before > 0`,
  `create index segments_expired on segments (expired_at) where expired_at is not null`,
  `create index sessions_ended on sessions (ended_at, id) where phase = 'ended'`,
  `create index alarms_at on alarms (at, id)`,
  `create index audit_denied on audit (id) where result = 'denied'`,
];

export const bounded: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};
