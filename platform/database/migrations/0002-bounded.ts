import { migration } from '../dialect.ts';

/**
 * Indexes of listed segments alone, so that what retention gave up costs lists nothing (rows are kept for a week after that), and what the
 * sweep needs to find old rows without looking at the others.
 */
export const bounded = migration(() => [
  `drop index segments_camera_start`,
  `create index segments_listed on segments (camera_id, start_ms) where expired_at is null`,
  // Runs of segments are summed from this index alone.
  `create index segments_runs on segments (camera_id, session_id, start_ms, end_ms, bytes, open) where expired_at is null`,
  `create index segments_breaks on segments (camera_id, session_id, start_ms) where expired_at is null and gap_before > 0`,
  `create index segments_expired on segments (expired_at) where expired_at is not null`,
  `create index sessions_ended on sessions (ended_at, id) where phase = 'ended'`,
  `create index alarms_at on alarms (at, id)`,
  `create index audit_denied on audit (id) where result = 'denied'`,
]);
