import { constants } from 'node:http2';

interface Inner {
  readonly nextCall?: Inner;
  readonly stream?: { close(code: number): void };
}

/**
 * Ends a call's HTTP/2 stream at once (RST_STREAM, CANCEL), whatever waits to be sent in it: a status would wait behind that for as long as the client does not
 * read. The connection and its other calls go on.
 */
export const resetStream = (call: object): void => {
  // grpc-js has no public way to; one that keeps the stream elsewhere leaves it to the connection's own age.
  let inner = (call as { readonly call?: Inner }).call;
  while (inner?.nextCall) inner = inner.nextCall;
  inner?.stream?.close(constants.NGHTTP2_CANCEL);
};
