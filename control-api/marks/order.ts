/**
 * The order of marks: one number (`seq`) that grows with their beginning, so that a list is read from one index, newest first, and a page
 * ends at one number. Marks that begin in the same millisecond are numbered one after the other.
 */
import type { Milliseconds } from '../../core/units.ts';

/** So many marks can begin in one millisecond. The numbers stay exact until the year 2248. */
const PER_MILLISECOND = 1024;

/** A mark's range is at most so long; so a query for a time need not look at marks from before that. */
export const MAX_MARK_MS: Milliseconds = 24 * 3_600_000;

/** The lowest `seq` of marks that begin at or after `from` (Unix ms, rounded up). */
export const firstSeq = (from: Milliseconds): number => Math.ceil(from) * PER_MILLISECOND;
