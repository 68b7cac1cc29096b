import type { Milliseconds } from '../core/units.ts';

/** No sighting is longer; so a query for a time need not look at those from before that. */
export const MAX_SIGHTING_MS: Milliseconds = 600_000;
