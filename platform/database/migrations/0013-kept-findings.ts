import { migration } from '../dialect.ts';

/**
 * What marks cover is passed over when old detections and sightings are deleted: they are looked for camera by camera, between the marks,
 * without a look at those of analyses (`control-api/detections/sweep.ts`).
 */
export const keptFindings = migration(() => [
  `create index detections_live on detections (camera_id, captured_at_ms) where analysis_id is null`,
  `drop index sightings_first`,
  `create index sightings_live on sightings (camera_id, first_ms) where analysed_by = ''`,
  `create index marks_ranges on marks (camera_id, from_ms, to_ms)`,
  `create index analyses_finished on analyses (finished_at, id) where finished_at is not null`,
]);
