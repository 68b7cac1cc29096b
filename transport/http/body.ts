import type { IncomingMessage } from 'node:http';
import { MediaError } from '../../core/errors.ts';
import type { ReadBody } from './port.ts';

/** The media type of a Content-Type header, lower case, without parameters. */
export const mediaTypeOf = (header: string | undefined): string => (header ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';

/** How much more than the limit is read and thrown away, so that the client can read the 413, before its connection is cut. */
const DRAIN_FACTOR = 16;

export const readBody: ReadBody = async (request, contentType, maxBytes) => {
  const given = mediaTypeOf(request.headers['content-type']);
  if (given !== contentType) {
    request.resume();
    throw new MediaError('UNSUPPORTED_MEDIA_TYPE', `The body must be ${contentType}.`, { context: { content_type: given, expected: contentType } });
  }
  return readWhole(request, maxBytes);
};

const readWhole = (request: IncomingMessage, maxBytes: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const tooLarge = (): void => {
      reject(new MediaError('PAYLOAD_TOO_LARGE', `The body may have ${String(maxBytes)} bytes at most.`, { context: { max_bytes: maxBytes } }));
    };
    if (Number(request.headers['content-length'] ?? 0) > maxBytes) tooLarge();
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= maxBytes) { chunks.push(chunk); return; }
      chunks.length = 0;
      tooLarge();
      if (bytes > maxBytes * DRAIN_FACTOR) request.destroy();
    });
    request.once('end', () => { if (bytes <= maxBytes) resolve(Buffer.concat(chunks).toString('utf8')); });
    request.once('error', () => { reject(hungUp()); });
    request.once('close', () => { if (!request.complete) reject(hungUp()); });
  });

const hungUp = (): MediaError => new MediaError('INVALID_ARGUMENT', 'The client hung up before its body was complete.');
