import { Socket } from 'node:net';
import { systemClock } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';

/** The variable by which `ChildProcess` tells its child which descriptor leads back. */
export const PARENT_PIPE_FD = 'PARENT_PIPE_FD';

export interface ExitWithParentOptions {
  /** The parent is gone: finish what must be finished. The process exits when it settles, or after `withinMs`. */
  readonly onParentGone?: () => Promise<void>;
  /** Default 1500: together with noticing it stays below the 2 s that children may outlive the supervisor. */
  readonly withinMs?: number;
  readonly clock?: Clock;
}

/** A child's way to its parent. */
export interface ParentLink {
  /** One JSON line to the parent. Never waits. */
  send(message: Readonly<Record<string, unknown>>): void;
}

/**
 * The child's side of `ChildProcess`: the process exits when its parent's end of the pipe closes, also after a kill -9 of the parent,
 * so that children never outlive it. Undefined when nobody started this process that way (a role started alone).
 *
 * Ctrl-C reaches every process of the terminal's group at once; a child leaves it to its parent to decide who stops in which order.
 */
export const exitWithParent = (options: ExitWithParentOptions = {}): ParentLink | undefined => {
  const fd = Number(process.env[PARENT_PIPE_FD] ?? Number.NaN);
  // Not for what this process starts in turn.
  Reflect.deleteProperty(process.env, PARENT_PIPE_FD);
  if (!Number.isInteger(fd)) return undefined;
  const clock = options.clock ?? systemClock;
  const pipe = new Socket({ fd, readable: true, writable: true });
  let gone = false;
  const leave = (): void => {
    if (gone) return;
    gone = true;
    if (!options.onParentGone) process.exit(1);
    clock.after(options.withinMs ?? 1500, () => process.exit(1));
    options.onParentGone().then(() => process.exit(0), () => process.exit(1));
  };
  pipe.on('end', leave).on('error', leave).on('close', leave);
  pipe.resume();
  pipe.unref();
  process.on('SIGINT', () => undefined);
  return { send: (message) => { if (!gone) pipe.write(`${JSON.stringify(message)}\n`); } };
};
