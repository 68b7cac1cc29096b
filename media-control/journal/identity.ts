import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';

const Stored = z.object({
  journal_id: z.uuid(),
  acknowledged: z.int().min(0),
  deleted_through: z.int().min(0),
  last_seq: z.int().min(0),
  clean: z.boolean(),
});

/** What the journal must remember beside its events. */
export interface JournalIdentity {
  /** Stable for one data directory; events are known to the database as (journal id, sequence number). */
  readonly journalId: string;
  /** The database had everything up to here when this was written. */
  readonly acknowledged: number;
  /** Session, segment and alarm events up to here were deleted. */
  readonly deletedThrough: number;
  /** At least the last number given when this was written. */
  readonly lastSeq: number;
  /** Written by an orderly stop: `lastSeq` is exact. */
  readonly clean: boolean;
}

const fileIn = (directory: string): string => join(directory, 'journal.json');

/** Reads the identity; a new one when there is none or it is not readable (then the database is told everything anew). */
export const readIdentity = (directory: string): JournalIdentity => {
  mkdirSync(directory, { recursive: true });
  try {
    const stored = Stored.parse(JSON.parse(readFileSync(fileIn(directory), 'utf8')));
    return { journalId: stored.journal_id, acknowledged: stored.acknowledged, deletedThrough: stored.deleted_through, lastSeq: stored.last_seq, clean: stored.clean };
  } catch {
    return newIdentity(0);
  }
};

/** Under this name the database knows nothing of the journal yet. */
export const newIdentity = (lastSeq: number): JournalIdentity => ({ journalId: randomUUID(), acknowledged: 0, deletedThrough: 0, lastSeq, clean: false });

/** Replaces the file in one step. */
export const writeIdentity = (directory: string, identity: JournalIdentity): void => {
  const path = fileIn(directory);
  const stored: z.input<typeof Stored> = {
    journal_id: identity.journalId, acknowledged: identity.acknowledged, deleted_through: identity.deletedThrough, last_seq: identity.lastSeq, clean: identity.clean,
  };
  writeFileSync(`${path}.new`, `${JSON.stringify(stored)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
};
