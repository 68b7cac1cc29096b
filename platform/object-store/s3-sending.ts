import type { ObjectSource, PutOptions } from './object-store.ts';
import type { Watchdog } from './watchdog.ts';

/** The source's bytes as fast as they may go; each piece that is taken is a sign of life. */
export async function* sending(source: ObjectSource, start: number, end: number, options: PutOptions, watchdog: Watchdog): AsyncGenerator<Buffer> {
  for await (const piece of source.read(start, end, watchdog.signal)) {
    if (options.pace !== undefined) await watchdog.excuse(options.pace(piece.length, watchdog.signal));
    else watchdog.touch();
    yield piece;
  }
}
