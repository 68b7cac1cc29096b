import { migration } from '../dialect.ts';

/**
 * What recordings are found by: the words of marks (`control-api/marks/words.ts`), newest first by `seq`, and sightings: in which stretches
 * of time a camera saw a class (`control-api/edges/sighting-rows.ts`), of detections that are a hundred times as many.
 */
export const search = migration((d) => [
  ...(d.name === 'postgres'
    ? [`create table mark_words (seq bigint primary key, words tsvector not null)`, `create index mark_words_words on mark_words using gin (words)`]
    : // The tokenizer takes apart at spaces what was made by us of letters and digits, whatever the script.
      [`create virtual table mark_words using fts5 (words, content = '', contentless_delete = 1, prefix = '1 2 3', tokenize = 'ascii')`]),
  `create table sightings (camera_id ${d.text} not null, class_name ${d.text} not null, first_ms ${d.real} not null, last_ms ${d.real} not null, count ${d.integer} not null,
     at_once ${d.integer} not null, max_confidence ${d.real} not null, primary key (camera_id, class_name, first_ms)) ${d.name === 'sqlite' ? 'without rowid' : ''}`,
  // Of what was detected before: whatever lies within 10 s, cut every 10 min.
  `insert into sightings (camera_id, class_name, first_ms, last_ms, count, at_once, max_confidence)
     select camera_id, class_name, min(captured_at_ms), max(captured_at_ms), sum(n), max(n), max(confidence) from (
       select *, sum(new) over (partition by camera_id, class_name order by captured_at_ms) as stretch from (
         select *, case when captured_at_ms - lag(captured_at_ms) over (partition by camera_id, class_name order by captured_at_ms) <= 10000 then 0 else 1 end as new from (
           select camera_id, class_name, captured_at_ms, count(*) as n, max(confidence) as confidence from detections group by camera_id, class_name, captured_at_ms) as pictures) as marked) as numbered
     group by camera_id, class_name, stretch, cast(captured_at_ms / 600000 as ${d.integer})`,
  `create index sightings_class on sightings (class_name, first_ms, camera_id)`,
  `create index sightings_camera on sightings (camera_id, first_ms)`,
  `create index sightings_first on sightings (first_ms)`,
]);
