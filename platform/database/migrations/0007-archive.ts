import { migration } from '../dialect.ts';

/** What no mark covers any more leaves the archive after a grace. */
export const archive = migration((d) => [
  `alter table segments add column unmarked_at ${d.integer}`,
  `create index segments_archived on segments (id) where archived_at is not null`,
]);
