import { ServerInterceptingCall } from '@grpc/grpc-js';
import type { ServerInterceptor } from '@grpc/grpc-js';

/** What grpc-js 1.14 keeps of the limit in each call, none of it public. */
interface LimitedCall {
  maxReceiveMessageSize: number;
  maxSendMessageSize: number;
  readonly decoder: { maxReadMessageLength: number };
}

const isLimitedCall = (call: unknown): call is LimitedCall => {
  const { maxReceiveMessageSize, maxSendMessageSize, decoder } = call as Partial<LimitedCall>;
  return typeof maxReceiveMessageSize === 'number' && typeof maxSendMessageSize === 'number' && typeof decoder?.maxReadMessageLength === 'number';
};

/**
 * Larger messages for some methods, both ways, by path; grpc-js has one limit for all methods of a server. A version of it that keeps its limit elsewhere
 * goes on with the server's own, smaller one.
 */
export const messageLimits = (limits: ReadonlyMap<string, number>): ServerInterceptor => ({ path }, call) => {
  const limit = limits.get(path);
  if (limit !== undefined && isLimitedCall(call)) {
    call.maxReceiveMessageSize = limit;
    call.maxSendMessageSize = limit;
    call.decoder.maxReadMessageLength = limit;
  }
  return new ServerInterceptingCall(call);
};
