/** Errors as `application/problem+json` (RFC 9457), with the `error` member of spec 2.5 beside it. */
import { MediaError, httpStatus } from '../../core/errors.ts';
import type { Clock } from '../../core/clock.ts';

export interface ProblemContext {
  readonly clock: Clock;
  /** The request's path without its query, which may hold a token. */
  readonly instance: string;
  /** Names the request in log and answer. */
  readonly traceId: string;
  /** A credential was shown, so that a 401 says it is the wrong one (RFC 6750 §3). */
  readonly credentialShown: boolean;
}

export interface Problem {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export const PROBLEM_TYPE = 'application/problem+json';

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  408: 'Request Timeout',
  409: 'Conflict',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  426: 'Upgrade Required',
  428: 'Precondition Required',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

/** The title of a status code. */
export const titleOf = (status: number): string => TITLES[status] ?? 'Error';

/**
 * The few statuses a protocol asks for that no `ErrorCode` has, told by `MediaErrorOptions.reason`
 * (RFC 9725 §4.3.1: PATCH without `If-Match`, with a stale one; RFC 9110 §15.5.6, §15.5.9; RFC 6585 §5).
 */
const STATUS_OF_REASON: Readonly<Record<string, number>> = {
  PRECONDITION_REQUIRED: 428,
  PRECONDITION_FAILED: 412,
  METHOD_NOT_ALLOWED: 405,
  UPGRADE_REQUIRED: 426,
  REQUEST_TIMEOUT: 408,
  HEADERS_TOO_LARGE: 431,
};

/** The status of anything thrown: what is not a `MediaError` is our bug, 500. */
export const statusOf = (error: unknown): number => {
  if (!(error instanceof MediaError)) return 500;
  const special = error.reason === undefined ? undefined : STATUS_OF_REASON[error.reason];
  return special ?? httpStatus(error.code);
};

const slug = (code: string): string => code.toLowerCase().replaceAll('_', '-');

/** What the client is told. The details of a 5xx that is our bug stay in the log. */
export const toProblem = (error: unknown, context: ProblemContext): Problem => {
  const known = error instanceof MediaError && error.code !== 'INTERNAL' ? error : null;
  const status = statusOf(error);
  const code = known ? (known.reason ?? known.code) : 'INTERNAL';
  const detail = known ? known.message : 'The server failed; its log has the details.';
  const details = known?.context ?? {};
  const body = {
    ...details, // first: the standard members below win over a context that uses their names
    type: `urn:imageflow:problem:${slug(code)}`,
    title: titleOf(status),
    status,
    detail,
    instance: context.instance,
    code,
    trace_id: context.traceId,
    ...(known?.retryAfterSeconds === undefined ? {} : { retry_after: known.retryAfterSeconds }),
    error: { code, message: detail, details, timestamp: new Date(context.clock.now()).toISOString() },
  };
  const headers: Record<string, string> = { 'content-type': PROBLEM_TYPE, 'cache-control': 'no-store' };
  if (status === 401) headers['www-authenticate'] = `Bearer realm="imageflow"${context.credentialShown ? ', error="invalid_token"' : ''}`;
  if (known?.retryAfterSeconds !== undefined) headers['retry-after'] = String(Math.max(1, Math.ceil(known.retryAfterSeconds)));
  return { status, headers, body: JSON.stringify(body) };
};
