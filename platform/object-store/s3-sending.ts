import { Readable } from 'node:stream';
import type { ObjectSource, PutOptions } from './object-store.ts';
import type { Watchdog } from './watchdog.ts';

/** A request's body: the source's bytes as fast as they may go. What the source throws ends the request by the watchdog's signal. The caller destroys it. */
export const bodyOf = (source: ObjectSource, start: number, end: number, options: PutOptions, watchdog: Watchdog): Readable => {
  const body = Readable.from(sending(source, start, end, options, watchdog), { objectMode: false });
  // The client listens no more once its request has ended; the error is told by then.
  body.on('error', () => undefined);
  return body;
};

/** Each piece that is taken is a sign of life. */
async function* sending(source: ObjectSource, start: number, end: number, options: PutOptions, watchdog: Watchdog): AsyncGenerator<Buffer> {
  try {
    for await (const piece of source.read(start, end, watchdog.signal)) {
      if (options.pace !== undefined) await watchdog.excuse(options.pace(piece.length, watchdog.signal));
      else watchdog.touch();
      yield piece;
    }
  } catch (error) {
    watchdog.fail(error);
    throw error;
  }
}
