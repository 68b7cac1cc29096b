import { migration } from '../dialect.ts';

/** How far each webhook has been told, and which control process tells it. A webhook is named by the digest of its address. */
export const webhooks = migration((d) => [
  `create table webhooks (webhook ${d.text} primary key, owner ${d.text} not null, owned_until ${d.real} not null)`,
  `create table webhook_positions (webhook ${d.text} not null, topic ${d.text} not null, last_id ${d.integer} not null, primary key (webhook, topic))`,
]);
