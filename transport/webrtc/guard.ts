import { messageOf } from '../../core/errors.ts';
import type { Logger } from '../../platform/logging.ts';

/** Wraps a callback for native code: an exception that left it would abort the process. It is our bug, so it is logged as one. */
export const guard =
  <A extends readonly unknown[]>(logger: Logger, callback: (...args: A) => void) =>
  (...args: A): void => {
    try {
      callback(...args);
    } catch (error) {
      logger.error({ error: messageOf(error), stack: error instanceof Error ? error.stack : undefined }, 'webrtc listener failed');
    }
  };
