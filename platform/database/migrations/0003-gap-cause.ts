import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** Why something is missing before a segment. */
export const gapCause: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`alter table segments add column gap_cause text`.execute(db);
  },
};
