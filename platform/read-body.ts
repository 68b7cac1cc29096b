import type { IncomingMessage } from 'node:http';
import type { Clock } from '../core/clock.ts';
import { MediaError } from '../core/errors.ts';
import type { Milliseconds } from '../core/units.ts';

/**
 * The whole body of a request that nobody has read from yet. Throws PAYLOAD_TOO_LARGE beyond `maxBytes`, INVALID_ARGUMENT when it has not come within
 * `withinMs` or its client hung up; the connection is left as it is, so that the client can be told.
 */
export const readBody = (request: IncomingMessage, limits: { readonly maxBytes: number; readonly withinMs: Milliseconds; readonly clock: Clock }): Promise<Buffer> => {
  const { maxBytes, withinMs, clock } = limits;
  const tooLarge = (): MediaError => new MediaError('PAYLOAD_TOO_LARGE', `The body may have ${String(maxBytes)} bytes.`, { context: { max_bytes: maxBytes } });
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return Promise.reject(tooLarge());
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let bytes = 0;
  const refuse = (error: MediaError): void => {
    settle();
    request.pause();
    reject(error);
  };
  const onData = (chunk: Buffer): void => {
    bytes += chunk.length;
    if (bytes > maxBytes) refuse(tooLarge());
    else chunks.push(chunk);
  };
  const onEnd = (): void => {
    settle();
    resolve(Buffer.concat(chunks));
  };
  const onGone = (): void => { refuse(new MediaError('INVALID_ARGUMENT', 'The client hung up before its body was complete.', { reason: 'UPLOAD_BROKEN_OFF' })); };
  const timer = clock.after(withinMs, () => { refuse(new MediaError('INVALID_ARGUMENT', `The body did not come within ${String(withinMs / 1000)} s.`, { reason: 'REQUEST_TIMEOUT' })); });
  const settle = (): void => {
    timer[Symbol.dispose]();
    request.off('data', onData).off('end', onEnd).off('close', onGone);
  };
  request.on('error', () => undefined); // 'close' follows
  request.on('data', onData).on('end', onEnd).on('close', onGone);
  return promise;
};
