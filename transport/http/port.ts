/** transport/http/: the edge's media HTTP server (port 8081). Plain node:http, because an LL-HLS request must cost ~100 µs. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

export interface MediaRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Named segments of the route's pattern, percent-decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** Bearer credential: `Authorization: Bearer` (any case), else `?token=`; null when none was shown. */
  readonly credential: string | null;
  /**
   * Where the client is, as the front door or a proxy says (`X-Forwarded-For`, its first), else the other end of the connection. Anybody can
   * say anything here: no right is to depend on it.
   */
  readonly clientAddress: string | null;
  /** Aborted when the client hangs up. */
  readonly signal: AbortSignal;
}

/** May throw MediaError: it is answered as problem+json with the right status and headers. */
export type MediaHandler = (request: MediaRequest) => Promise<void> | void;

export interface UpgradeRequest {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** As above, or the sub-protocol `bearer.<token>`. */
  readonly credential: string | null;
}

export interface MediaRouter {
  /**
   * `pattern`: `/hls/:camera/:file`; a last `*rest` takes the remainder. OPTIONS (CORS) is answered by the server. `longBody`: the handler itself sees
   * to it that the body comes in time; any other has 30 s.
   */
  route(method: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'DELETE', pattern: string, handler: MediaHandler, options?: { readonly longBody?: boolean }): void;
  upgrade(pattern: string, handler: (request: UpgradeRequest) => Promise<void> | void): void;
}

/** Reads a request body of at most `maxBytes`; throws PAYLOAD_TOO_LARGE, and UNSUPPORTED_MEDIA_TYPE unless the content type is `contentType`. */
export type ReadBody = (request: IncomingMessage, contentType: string, maxBytes: number) => Promise<string>;
