import type { PlaybackFile } from '../../recorder/port.ts';
import { messageOf } from '../../core/errors.ts';
import type { Logger } from '../../platform/logging.ts';
import { matches } from '../etag.ts';
import { ifRangeAllows, parseRange } from './range.ts';

export interface PlaybackRequest {
  readonly head: boolean;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
  readonly ifNoneMatch: string | undefined;
  /** Aborted when the client hangs up. */
  readonly signal: AbortSignal;
}

/**
 * 200, 206, 304 or 416 for a file (RFC 9110 §14, §15.3.7). Bytes are read as the client takes them, and no further once it is gone; a file
 * that goes missing meanwhile cuts the answer short, which the length tells the client.
 */
export const answerPlayback = (file: PlaybackFile, request: PlaybackRequest, name: string, logger: Logger): Response => {
  const headers: Record<string, string> = { etag: file.etag, 'accept-ranges': 'bytes', 'cache-control': 'private, no-cache', 'content-disposition': `inline; filename="${name}"` };
  if (matches(request.ifNoneMatch, file.etag)) return new Response(null, { status: 304, headers });
  const range = ifRangeAllows(request.ifRange, file.etag) ? parseRange(request.range, file.byteLength) : null;
  if (range === 'unsatisfiable') {
    return new Response(null, { status: 416, headers: { ...headers, 'content-range': `bytes */${String(file.byteLength)}`, 'content-length': '0' } });
  }
  const { start, end } = range ?? { start: 0, end: file.byteLength };
  headers['content-type'] = file.contentType;
  headers['content-length'] = String(end - start);
  if (range !== null) headers['content-range'] = `bytes ${String(start)}-${String(end - 1)}/${String(file.byteLength)}`;
  return new Response(request.head ? null : toStream(file, start, end, request.signal, logger), { status: range === null ? 200 : 206, headers });
};

const toStream = (file: PlaybackFile, start: number, end: number, gone: AbortSignal, logger: Logger): ReadableStream<Uint8Array> => {
  const stop = new AbortController();
  let pieces: AsyncIterator<Buffer> | undefined;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          pieces ??= file.read(start, end, AbortSignal.any([gone, stop.signal]))[Symbol.asyncIterator]();
          const next = await pieces.next();
          if (next.done === true) controller.close();
          else controller.enqueue(next.value);
        } catch (error) {
          if (!gone.aborted && !stop.signal.aborted) logger.warn({ reason: messageOf(error) }, 'playback cut short');
          controller.error(error);
        }
      },
      async cancel() {
        stop.abort(new Error('the client is gone'));
        await pieces?.return?.();
      },
    },
    { highWaterMark: 0 },
  );
};
