/** The process that decodes pictures sent by clients and shows them to the AI workers: a child of control. Only control starts it. */
import { Socket } from 'node:net';
import { availableParallelism } from 'node:os';
import { AV_LOG_QUIET } from 'node-av/constants';
import { Log } from 'node-av/lib';
import { systemClock } from '../core/clock.ts';
import { SentPictureChild } from '../extractor/child/sent-picture-child.ts';
import { Dispatcher } from '../inference/dispatcher.ts';
import { growHeapInLargeSteps } from '../platform/heap-growth.ts';
import { createLogger } from '../platform/logging.ts';
import { exitWithParent } from '../platform/parent-process.ts';
import { yieldToMedia } from '../platform/process-priority.ts';

/** `ChildProcess` gives the first extra pipe this descriptor. */
const PIPE_FD = 4;
/** As many as libuv has threads. */
const MAX_PLACES = 4;

/** Runs until the pipe to control closes. */
export const runPictureDecoder = (): void => {
  yieldToMedia(); // what clients send is no reason to delay a camera's packet
  growHeapInLargeSteps();
  Log.setLevel(AV_LOG_QUIET);
  exitWithParent();
  const logger = createLogger({ level: process.env['IMAGEFLOW_LOG_LEVEL'] ?? 'info', component: 'picture-decoder' });
  const pipe = new Socket({ fd: PIPE_FD, readable: true, writable: true });
  const leave = (): void => process.exit(0);
  pipe.on('end', leave).on('error', leave).on('close', leave);
  process.once('SIGTERM', leave);
  new SentPictureChild({
    pipe, clock: systemClock, logger,
    places: Math.min(MAX_PLACES, availableParallelism()),
    makeDispatcher: ({ workers, deadlineMs }, listener) => new Dispatcher({ workers, deadlineMs, listener, clock: systemClock, logger }),
    onStuck: () => {
      logger.error('a picture hangs its decoder; ending the process');
      process.exit(1);
    },
  });
};

if (import.meta.main) runPictureDecoder();
