import { migration } from '../dialect.ts';

/**
 * What analyses of recordings have found is found by searches, too: sightings of a source of their own for each model, computed from the
 * detections as `control-api/analyses/found-sightings.ts` does it.
 */
export const foundSightings = migration((d) => [
  // Neither database changes the primary key of a table in a way the other one knows.
  `create table sightings_of_all (camera_id ${d.text} not null, class_name ${d.text} not null, first_ms ${d.real} not null, last_ms ${d.real} not null, count ${d.integer} not null,
     at_once ${d.integer} not null, max_confidence ${d.real} not null, analysed_by ${d.text} not null default '', primary key (camera_id, class_name, first_ms, analysed_by)) ${d.name === 'sqlite' ? 'without rowid' : ''}`,
  `insert into sightings_of_all (camera_id, class_name, first_ms, last_ms, count, at_once, max_confidence) select camera_id, class_name, first_ms, last_ms, count, at_once, max_confidence from sightings`,
  `drop table sightings`,
  `alter table sightings_of_all rename to sightings`,
  `insert into sightings (camera_id, class_name, first_ms, last_ms, count, at_once, max_confidence, analysed_by)
     select camera_id, class_name, min(moment), max(moment), sum(n), max(n), max(confidence), model from (
       select *, sum(new) over (partition by camera_id, model, class_name, cell order by moment) as stretch from (
         select *, case when moment - lag(moment) over (partition by camera_id, model, class_name, cell order by moment) <= 10000 then 0 else 1 end as new from (
           select camera_id, model, class_name, captured_at_ms as moment, floor(captured_at_ms / 600000.0) as cell, count(*) as n, max(confidence) as confidence
             from detections where analysis_id is not null group by camera_id, model, class_name, captured_at_ms) as pictures) as marked) as numbered
     group by camera_id, model, class_name, cell, stretch`,
  `create index sightings_class on sightings (class_name, first_ms, camera_id, analysed_by)`,
  `create index sightings_camera on sightings (camera_id, first_ms)`,
  // Of those of live detections, which go after their time; the others go with their analysis.
  `create index sightings_first on sightings (first_ms) where analysed_by = ''`,
]);
