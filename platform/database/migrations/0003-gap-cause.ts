import { migration } from '../dialect.ts';

/** Why something is missing before a segment. */
export const gapCause = migration((d) => [`alter table segments add column gap_cause ${d.text}`]);
