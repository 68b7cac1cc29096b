/** The extractor process: a child of the edge, which decodes, scales and talks to the AI workers. Only the edge starts it. */
import { Socket } from 'node:net';
import { AV_LOG_QUIET } from 'node-av/constants';
import { Log } from 'node-av/lib';
import { systemClock } from '../core/clock.ts';
import { BlackBox } from '../extractor/black-box.ts';
import { ExtractorChild } from '../extractor/child/extractor-child.ts';
import { Dispatcher } from '../inference/dispatcher.ts';
import { growHeapForPictures } from '../platform/heap-growth.ts';
import { createLogger } from '../platform/logging.ts';
import { exitWithParent } from '../platform/parent-process.ts';

/** `ChildProcess` gives the first extra pipe this descriptor. */
const PIPE_FD = 4;

/** Runs until the pipe to the edge closes. `blackBoxPath`: the file in which it notes whose picture it works on. */
export const runExtractor = (blackBoxPath: string): void => {
  growHeapForPictures();
  // FFmpeg tells of every damaged macroblock of a broken stream; we count and log once.
  Log.setLevel(AV_LOG_QUIET);
  exitWithParent();
  const level = process.env['IMAGEFLOW_LOG_LEVEL'] ?? 'info';
  const logger = createLogger({ level, component: 'extractor' });
  const pipe = new Socket({ fd: PIPE_FD, readable: true, writable: true });
  const leave = (): void => process.exit(0);
  pipe.on('end', leave).on('error', leave).on('close', leave);
  process.once('SIGTERM', leave);
  new ExtractorChild({
    pipe,
    blackBox: BlackBox.open(blackBoxPath),
    clock: systemClock,
    logger,
    onStuck: () => {
      logger.error('devices keep the threads that encode; the extractor begins anew');
      process.exit(1);
    },
    makeDispatcher: ({ workers, deadlineMs, keepAll }, listener) => new Dispatcher({ workers, deadlineMs, keepAll, listener, clock: systemClock, logger }),
  });
};

if (import.meta.main) runExtractor(process.argv[2] ?? '');
