/**
 * How long a request's body may take. Node's own `requestTimeout` holds for every request of a server alike, and an upload may take an hour where
 * anything else is broken after half a minute.
 */
import type { IncomingMessage } from 'node:http';
import type { Clock } from '../core/clock.ts';
import type { Milliseconds } from '../core/units.ts';

/** Calls `onLate` unless the body is there within `limit`. A request without a body costs two look-ups. */
export const watchBody = (request: IncomingMessage, clock: Clock, limit: Milliseconds, onLate: () => void): void => {
  const { headers } = request;
  if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined) return;
  const timer = clock.after(limit, () => { if (!request.complete) onLate(); });
  const done = (): void => { timer[Symbol.dispose](); };
  request.once('end', done);
  request.once('close', done);
};

/** As node:http tells of it. */
export const lateBody = (): NodeJS.ErrnoException => Object.assign(new Error('the body did not arrive in time'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });
