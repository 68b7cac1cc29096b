import type { Webhook } from '../../config/webhooks.ts';
import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import { deadline } from '../deadline.ts';
import { deliveryHeaders } from './signature.ts';

const DEADLINE_MS: Milliseconds = 10_000;
/** Answers that say it is this event that is not taken: asking again would change nothing. */
const REFUSALS: ReadonlySet<number> = new Set([400, 413, 415, 422]);

/** `refused`: it will not take this event, whatever is done; `failed`: it may take it later. */
export type Outcome = { readonly result: 'delivered' } | { readonly result: 'refused' | 'failed'; readonly why: string };

/** Sends one event, once. Redirects are not followed: the address is the operator's, and its secret is for that one. */
export const deliver = async ({ url, secret }: Webhook, id: string, body: string, clock: Clock, stop: AbortSignal): Promise<Outcome> => {
  using limit = deadline(clock, DEADLINE_MS, stop);
  try {
    const response = await fetch(url, { method: 'POST', headers: deliveryHeaders(id, body, secret ?? null, clock.now()), body, redirect: 'manual', signal: limit.signal });
    await response.body?.cancel();
    if (response.ok) return { result: 'delivered' };
    return { result: REFUSALS.has(response.status) ? 'refused' : 'failed', why: `it answered ${String(response.status)}` };
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? `: ${messageOf(error.cause)}` : '';
    return { result: 'failed', why: `${messageOf(error)}${cause}` };
  }
};
