import type { ServerReadableStream } from '@grpc/grpc-js';
import type { Message } from '@bufbuild/protobuf';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';

/** A call whose one request has not been read: until `readRequest` is called, its sender is held back by flow control. */
export type UnreadCall = ServerReadableStream<Buffer, Message>;

/**
 * The bytes of a call's one request. Rejects with INVALID_ARGUMENT when there is none or more than one, with UNAVAILABLE when the caller
 * goes away, with DEADLINE_EXCEEDED when it has not come after `withinMs`.
 */
export const readRequest = async (call: UnreadCall, withinMs: Milliseconds, clock: Clock): Promise<Buffer> => {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  using _late = clock.after(withinMs, () => { reject(new MediaError('DEADLINE_EXCEEDED', `the request did not come within ${withinMs / 1000} s`)); });
  let request: Buffer | null = null;
  call.on('data', (bytes: Buffer) => {
    if (request === null) request = bytes;
    else reject(new MediaError('INVALID_ARGUMENT', 'the call has more than one request'));
  });
  call.on('end', () => {
    if (request !== null) resolve(request);
    // What a caller that goes away had begun to send ends, too, and just before one hears that it went.
    else setImmediate(() => { reject(new MediaError('INVALID_ARGUMENT', 'the call has no request')); });
  });
  call.on('cancelled', () => { reject(new MediaError('UNAVAILABLE', 'the caller went away')); });
  return await promise; // the deadline holds until then
};
