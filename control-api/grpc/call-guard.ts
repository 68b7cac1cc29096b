import type { Metadata } from '@grpc/grpc-js';
import { MediaError } from '../../core/errors.ts';
import type { AccessPrincipal } from '../api-env.ts';
import { bearerOf } from '../guard.ts';
import type { Guard } from '../guard.ts';
import type { Permission } from '../permissions.ts';
import type { CallBudget } from '../call-budget.ts';

/** What a call tells of who makes it. */
export interface Caller {
  readonly metadata: Metadata;
  /** `address:port` */
  getPeer(): string;
  /** `/package.Service/Method` */
  getPath(): string;
}

/** The check of REST in front of a gRPC method, with the metadata `authorization: Bearer …`, and each client's budget of calls. */
export class CallGuard {
  readonly #guard: Guard;
  readonly #budget: CallBudget;

  constructor(guard: Guard, budget: CallBudget) {
    this.#guard = guard;
    this.#budget = budget;
  }

  /** Throws UNAUTHENTICATED, PERMISSION_DENIED, RESOURCE_EXHAUSTED. */
  async admit(call: Caller, permission: Permission): Promise<AccessPrincipal> {
    const address = addressOf(call.getPeer());
    const principal = await this.admitAgain(call, permission).catch((error: unknown) => {
      // Who is not known counts by address, who may not by it, too: so that guessing has its bound.
      if (error instanceof MediaError) this.#budget.spend(`address ${address}`);
      throw error;
    });
    this.#budget.spend(`user ${principal.id}`);
    return principal;
  }

  /** The same later in a call that goes on, at no cost to the budget: its token may have been revoked or have expired. */
  admitAgain(call: Caller, permission: Permission): Promise<AccessPrincipal> {
    return this.#guard.admit({ credential: () => bearerOf(headerOf(call.metadata)), permission, address: addressOf(call.getPeer()), target: call.getPath() });
  }
}

const headerOf = (metadata: Metadata): string | undefined => metadata.get('authorization')[0]?.toString();

/** Without the port, which is another at each connection. */
const addressOf = (peer: string): string => peer.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
