/** The check in front of every route and gRPC method that is not public (spec 2.4): who it is, and whether the role may. */
import { createMiddleware } from 'hono/factory';
import { MediaError } from '../core/errors.ts';
import { clientAddress } from './api-env.ts';
import type { AccessPrincipal, ApiEnv } from './api-env.ts';
import { may } from './permissions.ts';
import type { Permission } from './permissions.ts';

/** Verifies access tokens; offered by auth/service.ts. */
export interface Authenticator {
  /** Who this access token belongs to. Throws UNAUTHENTICATED when it is not ours, expired or revoked. Answers at once for a token seen before. `connection`: what it came on. */
  authenticate(token: string, connection?: object): AccessPrincipal | Promise<AccessPrincipal>;
}

/** Where denials are written; offered by audit/service.ts. */
export interface DenialLog {
  /** Never throws, never waits. */
  denied(denial: { readonly principal: string | null; readonly address: string; readonly action: string; readonly target: string; readonly reason: string }): void;
}

export interface GuardOptions {
  /** Also takes `?token=`, for URLs a `<video>` element opens. */
  readonly queryToken?: boolean;
}

const BEARER = /^bearer +(\S+) *$/i;

/** The bearer credential of a header value; null when there is none. Throws UNAUTHENTICATED for another scheme. */
export const bearerOf = (authorization: string | undefined): string | null => {
  if (authorization === undefined) return null;
  const token = BEARER.exec(authorization)?.[1];
  if (token === undefined) throw new MediaError('UNAUTHENTICATED', 'The Authorization header must be `Bearer <token>`.', { reason: 'BAD_CREDENTIAL' });
  return token;
};

/** Who wants to do what, and from where. */
export interface Attempt {
  /** The bearer credential, looked for only when this is called. Throws UNAUTHENTICATED when what is shown is none. */
  readonly credential: () => string | null;
  /** null: any valid access token will do. */
  readonly permission: Permission | null;
  /** For the audit log. */
  readonly address: string;
  readonly target: string;
  /** What the token came on, if it is kept. */
  readonly connection?: object;
}

export const createGuard = (authenticator: Authenticator, log: DenialLog) => {
  /** Who it is, if the role has the permission. Throws UNAUTHENTICATED, PERMISSION_DENIED; both are in the audit log then. */
  const admit = async ({ credential, permission, address, target, connection }: Attempt): Promise<AccessPrincipal> => {
    const action = permission ?? 'authenticated';
    let principal: AccessPrincipal;
    try {
      const token = credential();
      if (token === null) throw new MediaError('UNAUTHENTICATED', 'A bearer token is needed: POST /v1/auth/login gives one.', { reason: 'NO_CREDENTIAL' });
      const known = authenticator.authenticate(token, connection);
      principal = known instanceof Promise ? await known : known;
    } catch (error) {
      if (error instanceof MediaError) log.denied({ principal: null, address, action, target, reason: error.reason ?? error.code });
      throw error;
    }
    if (permission !== null && !may(principal.permissions, permission)) {
      log.denied({ principal: principal.username, address, action, target, reason: 'PERMISSION_DENIED' });
      throw new MediaError('PERMISSION_DENIED', `The role ${principal.role} may not do this: it lacks ${permission}.`, { context: { permission } });
    }
    return principal;
  };

  /** Lets through only an access token whose role has `permission`; null: any valid one. */
  const require = (permission: Permission | null, options: GuardOptions = {}) =>
    createMiddleware<ApiEnv>(async (c, next) => {
      const credential = (): string | null => bearerOf(c.req.header('authorization')) ?? (options.queryToken === true ? (c.req.query('token') ?? null) : null);
      c.set('principal', await admit({ credential, permission, address: clientAddress(c.env), target: c.req.path, connection: c.env.incoming.socket }));
      await next();
    });
  return { admit, require };
};
export type Guard = ReturnType<typeof createGuard>;
