import type { Readable } from 'node:stream';

/**
 * Makes a stream of messages read none before it is asked for one: by default 16 wait in its buffer, paused or not, however large they are. For a stream
 * nobody has read from yet.
 */
export const readOneAtATime = (stream: Readable): void => {
  // Public only as an option of the constructor, which grpc-js calls; a Node that keeps it elsewhere reads ahead as before.
  const { _readableState: state } = stream as unknown as { readonly _readableState?: { highWaterMark: number } };
  if (state) state.highWaterMark = 0;
};
