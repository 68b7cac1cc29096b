import { migration } from '../dialect.ts';

/** Which segment an analysis has looked at last: it may have been open then, and a job that goes on later must not count its pictures twice. */
export const analysisSegment = migration((d) => [`alter table analyses add column position_segment ${d.text}`]);
