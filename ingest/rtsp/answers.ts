import { MediaError } from '../../core/errors.ts';
import type { ErrorCode } from '../../core/errors.ts';
import type { RtspAnswer } from '../../transport/rtsp/message.ts';

/** Our error codes as RTSP status codes (RFC 2326 §7.1.1). */
const STATUS: Readonly<Record<ErrorCode, number>> = {
  INVALID_ARGUMENT: 400,
  UNPROCESSABLE: 415,
  NOT_ACCEPTABLE: 415,
  UNSUPPORTED_MEDIA_TYPE: 415,
  PAYLOAD_TOO_LARGE: 413,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 455,
  FAILED_PRECONDITION: 455,
  RESOURCE_EXHAUSTED: 453,
  UNAVAILABLE: 503,
  DEADLINE_EXCEEDED: 503,
  INTERNAL: 500,
};

/** The answer to a request that failed; `challenge`: the WWW-Authenticate fields of a 401. Tells nothing of errors of our own. */
export const answerError = (error: unknown, challenge: readonly (readonly [string, string])[]): RtspAnswer => {
  if (!(error instanceof MediaError)) return { status: 500 };
  // ING-11: too many publishers is 453 in RTSP, whatever the other protocols say.
  const status = error.reason === 'SESSION_LIMIT' ? 453 : STATUS[error.code];
  const headers: (readonly [string, string])[] = status === 401 ? [...challenge] : [];
  if (error.retryAfterSeconds !== undefined) headers.push(['Retry-After', String(error.retryAfterSeconds)]);
  if (status === 500) return { status, headers };
  return { status, headers: [...headers, ['Content-Type', 'text/plain']], body: error.message };
};
