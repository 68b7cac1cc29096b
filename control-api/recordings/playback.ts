import type { ServerResponse } from 'node:http';
import { Readable, pipeline } from 'node:stream';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
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
}

/**
 * 200, 206, 304 or 416 for a file (RFC 9110 §14, §15.3.7). Bytes are read as the client takes them, and no further once it is gone; a file
 * that goes missing meanwhile cuts the answer short, which the length tells the client.
 */
export const answerPlayback = (file: PlaybackFile, request: PlaybackRequest, name: string, outgoing: ServerResponse, logger: Logger): Response => {
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
  outgoing.writeHead(status, headers);
  send(file, start, end, outgoing, logger);
  return RESPONSE_ALREADY_SENT;
};

/** Sends as fast as the client takes it, outside Hono: a body that fails midway can only be cut, which is no error of the application. */
const send = (file: PlaybackFile, start: number, end: number, outgoing: ServerResponse, logger: Logger): void => {
  const stop = new AbortController();
  outgoing.once('close', () => { stop.abort(new Error('the client is gone')); });
  const pieces = Readable.from(file.read(start, end, stop.signal), { objectMode: false, highWaterMark: 256 * 1024 });
  pipeline(pieces, outgoing, (error) => {
    if (error && !stop.signal.aborted) logger.warn({ reason: messageOf(error) }, 'playback cut short');
  });
};
