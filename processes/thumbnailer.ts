/** The thumbnailer process: a child of control, which decodes recorded pictures. Only control starts it. */
import { Socket } from 'node:net';
import { AV_LOG_QUIET } from 'node-av/constants';
import { Log } from 'node-av/lib';
import { exitWithParent } from '../platform/parent-process.ts';
import { yieldToMedia } from '../platform/process-priority.ts';
import { serveThumbnails } from '../recorder/child/thumbnailer-child.ts';

/** `ChildProcess` gives the first extra pipe this descriptor. */
const PIPE_FD = 4;

/** Runs until the pipe to control closes. */
export const runThumbnailer = (): void => {
  yieldToMedia(); // somebody who scrubs through last week is no reason to delay a packet
  Log.setLevel(AV_LOG_QUIET);
  exitWithParent();
  const pipe = new Socket({ fd: PIPE_FD, readable: true, writable: true });
  const leave = (): void => process.exit(0);
  pipe.on('end', leave).on('error', leave).on('close', leave);
  process.once('SIGTERM', leave);
  serveThumbnails(pipe);
};

if (import.meta.main) runThumbnailer();
