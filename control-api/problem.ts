/** RFC 9457 problem details, with seed 001 §8.2.1's `error` member beside them (SD-14). The one place where an error becomes an answer. */
import { HTTPException } from 'hono/http-exception';
import { MediaError, httpStatus, messageOf } from '../core/errors.ts';
import type { ErrorCode } from '../core/errors.ts';
import { isImpossibleValue } from '../platform/database/failures.ts';
import type { Logger } from '../platform/logging.ts';

/** One member of a request that was refused, in the seed's shape. */
export interface FieldError {
  /** Dotted path, e.g. `source.url`; empty for the body itself. */
  readonly field: string;
  readonly message: string;
  /** What was sent, shortened; null for secrets. */
  readonly value: unknown;
}

/** A request that is refused for some of its members, which the answer names in `validation_errors`. */
export class FieldsError extends MediaError {
  readonly fields: readonly FieldError[];
  constructor(code: ErrorCode, reason: string, message: string, fields: readonly FieldError[]) {
    super(code, message, { reason });
    this.name = 'FieldsError';
    this.fields = fields;
  }
}

/** Bad syntax or type: 400 with the list of what is wrong. */
export class ValidationError extends FieldsError {
  constructor(fields: readonly FieldError[], message = 'The request is not valid.') {
    super('INVALID_ARGUMENT', 'VALIDATION_FAILED', message, fields);
    this.name = 'ValidationError';
  }
}

export interface Problem {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface ProblemContext {
  readonly requestId: string;
  /** The request's path, without its query: a query may carry a token. */
  readonly instance: string;
  /** Unix ms. */
  readonly now: number;
}

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request', 401: 'Unauthorized', 403: 'Forbidden', 404: 'Not Found', 405: 'Method Not Allowed', 406: 'Not Acceptable', 408: 'Request Timeout', 409: 'Conflict', 412: 'Precondition Failed',
  413: 'Content Too Large', 415: 'Unsupported Media Type', 416: 'Range Not Satisfiable', 422: 'Unprocessable Content', 429: 'Too Many Requests', 431: 'Request Header Fields Too Large',
  500: 'Internal Server Error', 502: 'Bad Gateway', 503: 'Service Unavailable', 504: 'Gateway Timeout',
};

const CODE_OF_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: 'INVALID_ARGUMENT', 401: 'UNAUTHENTICATED', 403: 'PERMISSION_DENIED', 404: 'NOT_FOUND', 406: 'NOT_ACCEPTABLE', 409: 'FAILED_PRECONDITION',
  413: 'PAYLOAD_TOO_LARGE', 415: 'UNSUPPORTED_MEDIA_TYPE', 422: 'UNPROCESSABLE', 429: 'RESOURCE_EXHAUSTED', 503: 'UNAVAILABLE', 504: 'DEADLINE_EXCEEDED',
};

/** Statuses of HTTP itself that no `ErrorCode` has, by `MediaErrorOptions.reason`. */
const STATUS_OF_REASON: Readonly<Record<string, number>> = { REQUEST_TIMEOUT: 408, MODEL_CHANGED: 412, HEADERS_TOO_LARGE: 431 };

/** Anything thrown as a `MediaError`: Hono's own exceptions by their status, values no database takes as such, all else as INTERNAL with its cause. */
export const toMediaError = (error: unknown): MediaError => {
  if (error instanceof MediaError) return error;
  if (error instanceof HTTPException) {
    const code = CODE_OF_STATUS[error.status] ?? 'INTERNAL';
    if (error.message.startsWith('Malformed JSON')) return new MediaError(code, 'The body is not JSON.', { cause: error, reason: 'MALFORMED_JSON' });
    if (code === 'UNSUPPORTED_MEDIA_TYPE') return new MediaError(code, 'The body must be application/json, and its Content-Type must say so.', { cause: error });
    return new MediaError(code, error.message === '' ? (TITLES[error.status] ?? 'The request failed.') : error.message, { cause: error });
  }
  if (isImpossibleValue(error)) return new MediaError('INVALID_ARGUMENT', 'A value is none the database can hold: a number too large, or a text with a zero in it.', { cause: error, reason: 'VALUE_NOT_STORABLE' });
  return new MediaError('INTERNAL', messageOf(error), { cause: error });
};

/** The answer to a failed request. Details of our own faults stay in the log; the client gets the `trace_id` to quote. */
export const problemOf = (thrown: unknown, context: ProblemContext): Problem => {
  const error = toMediaError(thrown);
  const status = STATUS_OF_REASON[error.reason ?? ''] ?? httpStatus(error.code);
  const code = error.reason ?? error.code;
  const detail = error.code === 'INTERNAL' ? 'The server failed; its log tells why under this trace_id.' : error.message;
  const fields = error instanceof FieldsError ? error.fields : undefined;
  const headers: Record<string, string> = { 'content-type': 'application/problem+json', 'cache-control': 'no-store' };
  if (status === 401) headers['www-authenticate'] = error.reason === 'NO_CREDENTIAL' ? 'Bearer realm="imageflow"' : 'Bearer realm="imageflow", error="invalid_token"';
  // The rest of the body is not read, so the connection cannot serve another request.
  if (status === 413) headers['connection'] = 'close';
  if (error.retryAfterSeconds !== undefined) headers['retry-after'] = String(Math.max(1, Math.ceil(error.retryAfterSeconds)));
  return {
    status,
    headers,
    body: {
      ...error.context,
      type: `urn:imageflow:problem:${code.toLowerCase().replaceAll('_', '-')}`,
      title: TITLES[status] ?? 'Error',
      status,
      detail,
      instance: context.instance,
      code,
      ...(fields === undefined ? {} : { validation_errors: fields }),
      ...(error.retryAfterSeconds === undefined ? {} : { retry_after: error.retryAfterSeconds }),
      trace_id: context.requestId,
      error: { code, message: detail, details: fields ?? error.context, timestamp: new Date(context.now).toISOString() },
    },
  };
};

/** Logs what only the operator may read. */
export const logFailure = (logger: Logger, thrown: unknown, context: ProblemContext): void => {
  const error = toMediaError(thrown);
  if (error.code !== 'INTERNAL') return;
  logger.error({ err: error.cause ?? error, request: context.requestId, path: context.instance }, 'request failed');
};
