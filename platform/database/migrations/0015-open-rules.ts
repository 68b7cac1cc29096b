import { migration } from '../dialect.ts';

/** What rules of cameras' scenes have said to begin and not yet to end, as the edge told it: an edge that is killed tells no end. */
export const openRules = migration((d) => [
  `create table open_rules (occurrence_id ${d.text} primary key, finding ${d.text} not null)`,
]);
