import { migration } from '../dialect.ts';

/** Whether a camera is shown live (SD-53): a switch of its own, which setting the camera anew does not touch. */
export const distribution = migration((d) => [`alter table cameras add column distribution ${d.text} not null default 'on' check (distribution in ('on', 'off'))`]);
