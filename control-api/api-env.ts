/** What a handler of the REST API finds in its context. */
import type { HttpBindings } from '@hono/node-server';

/** The issuer (`iss`) of every access token. */
export const TOKEN_ISSUER = 'imageflow-edge';

/** Who makes a request: a user by a verified access token. */
export interface AccessPrincipal {
  readonly id: string;
  readonly username: string;
  readonly role: string;
  readonly permissions: readonly string[];
  /** The access token's `jti`. */
  readonly tokenId: string;
  /** The log-in this token descends from: the family of its refresh tokens. */
  readonly family: string;
  /** Unix ms. */
  readonly expiresAt: number;
}

/** Given with each request by the listener (server.ts). */
export interface RequestBindings extends HttpBindings {
  readonly requestId: string;
}

export interface ApiEnv {
  Bindings: RequestBindings;
  Variables: { principal: AccessPrincipal };
}

/** Address of the peer of the TCP connection; never a header, which anybody may write. */
export const clientAddress = (env: RequestBindings): string => env.incoming.socket.remoteAddress ?? 'unknown';
