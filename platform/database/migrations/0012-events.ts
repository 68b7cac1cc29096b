import { migration } from '../dialect.ts';

/**
 * The outbox of events for others (OPS-1, SD-56): a row is written in the transaction of the change it tells of. And what an analysis says
 * of quality, which is told with its end.
 */
export const events = migration((d) => [
  `create table events (id ${d.identity}, topic ${d.text} not null, camera_id ${d.text}, at_ms ${d.real} not null, body ${d.text} not null)`,
  `create index events_topic on events (topic, id)`,
  // How far each topic was deleted, so that a reader who comes late is told that it has missed something.
  `create table event_topics (topic ${d.text} primary key, deleted_through ${d.integer} not null)`,
  `alter table analyses add column defect_classes ${d.text} not null default '[]'`,
  `alter table analyses add column defect_pictures ${d.integer} not null default 0`,
  `alter table analyses add column defect_count ${d.integer}`,
  `alter table analyses add column quality_score ${d.real}`,
  `alter table analyses add column started_at ${d.integer}`,
]);
