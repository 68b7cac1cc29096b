import type { ServerResponse } from 'node:http';
import { Readable, pipeline } from 'node:stream';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { RecordedFile } from '../recorder/port.ts';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../platform/logging.ts';
import { matches } from './etag.ts';
import { ifRangeAllows, parseRange } from './range.ts';

export interface FileRequest {
  readonly head: boolean;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
  readonly ifNoneMatch: string | undefined;
}

/**
 * 200, 206, 304 or 416 for a file (RFC 9110 §14, §15.3.7). Bytes are read as the client takes them, and no further once it is gone; a file
 * that goes missing meanwhile cuts the answer short, which the length tells the client. Throws what the first read throws: 404 for a file that
 * has gone before.
 */
export const answerFile = async (file: RecordedFile, request: FileRequest, name: string, outgoing: ServerResponse, logger: Logger): Promise<Response> => {
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
  const status = range === null ? 200 : 206;
  if (request.head) return new Response(null, { status, headers });
  return await sendPieces((signal) => file.read(start, end, signal), status, headers, outgoing, logger);
};

/** Sends pieces as fast as the client takes them, outside Hono: a body that fails midway can only be cut, which is no error of the application. Throws when the first fails. */
export const sendPieces = async (
  read: (signal: AbortSignal) => AsyncIterable<Buffer>, status: number, headers: Record<string, string>, outgoing: ServerResponse, logger: Logger,
): Promise<Response> => {
  const stop = new AbortController();
  outgoing.once('close', () => { stop.abort(new Error('the client is gone')); });
  const pieces = read(stop.signal)[Symbol.asyncIterator]();
  const first = await pieces.next();
  outgoing.writeHead(status, headers);
  pipeline(Readable.from(resumed(first, pieces), { objectMode: false, highWaterMark: 256 * 1024 }), outgoing, (error) => {
    if (error && !stop.signal.aborted) logger.warn({ reason: messageOf(error) }, 'playback cut short');
  });
  return RESPONSE_ALREADY_SENT;
};

async function* resumed(first: IteratorResult<Buffer>, pieces: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  try {
    for (let step = first; step.done !== true; step = await pieces.next()) yield step.value;
  } finally {
    await pieces.return?.();
  }
}
