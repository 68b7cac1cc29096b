import { Metadata, status } from '@grpc/grpc-js';
import type { ServiceError, StatusObject } from '@grpc/grpc-js';
import { MediaError, messageOf } from '../../core/errors.ts';
import type { ErrorCode } from '../../core/errors.ts';
import { statusDetails } from './status-details.ts';

/** The one table from our codes to gRPC status codes. */
const TO_STATUS: Readonly<Record<ErrorCode, status>> = {
  INVALID_ARGUMENT: status.INVALID_ARGUMENT,
  UNPROCESSABLE: status.INVALID_ARGUMENT,
  NOT_ACCEPTABLE: status.FAILED_PRECONDITION,
  UNSUPPORTED_MEDIA_TYPE: status.INVALID_ARGUMENT,
  PAYLOAD_TOO_LARGE: status.INVALID_ARGUMENT,
  UNAUTHENTICATED: status.UNAUTHENTICATED,
  PERMISSION_DENIED: status.PERMISSION_DENIED,
  NOT_FOUND: status.NOT_FOUND,
  ALREADY_EXISTS: status.ALREADY_EXISTS,
  FAILED_PRECONDITION: status.FAILED_PRECONDITION,
  RESOURCE_EXHAUSTED: status.RESOURCE_EXHAUSTED,
  UNAVAILABLE: status.UNAVAILABLE,
  DEADLINE_EXCEEDED: status.DEADLINE_EXCEEDED,
  INTERNAL: status.INTERNAL,
};

/** Statuses of gRPC itself that no `ErrorCode` has, by `MediaErrorOptions.reason`. */
const STATUS_OF_REASON: Readonly<Record<string, status>> = { NOT_IMPLEMENTED: status.UNIMPLEMENTED };

const FROM_STATUS: ReadonlyMap<status, ErrorCode> = new Map([
  [status.INVALID_ARGUMENT, 'INVALID_ARGUMENT'],
  [status.OUT_OF_RANGE, 'INVALID_ARGUMENT'],
  [status.UNAUTHENTICATED, 'UNAUTHENTICATED'],
  [status.PERMISSION_DENIED, 'PERMISSION_DENIED'],
  [status.NOT_FOUND, 'NOT_FOUND'],
  [status.ALREADY_EXISTS, 'ALREADY_EXISTS'],
  [status.FAILED_PRECONDITION, 'FAILED_PRECONDITION'],
  [status.ABORTED, 'FAILED_PRECONDITION'],
  [status.RESOURCE_EXHAUSTED, 'RESOURCE_EXHAUSTED'],
  [status.UNAVAILABLE, 'UNAVAILABLE'],
  [status.CANCELLED, 'UNAVAILABLE'],
  [status.DEADLINE_EXCEEDED, 'DEADLINE_EXCEEDED'],
  [status.UNIMPLEMENTED, 'UNPROCESSABLE'],
]);

const CODE_KEY = 'imageflow-code';
const REASON_KEY = 'imageflow-reason';
const RETRY_KEY = 'imageflow-retry-after';
/** The trailer in which gRPC carries a `google.rpc.Status`. */
const DETAILS_KEY = 'grpc-status-details-bin';

/** What a server answers for a thrown error. The text of anything but a `MediaError` stays in the log. */
export const toGrpcStatus = (error: unknown): Pick<StatusObject, 'code' | 'details' | 'metadata'> => {
  const metadata = new Metadata();
  if (!(error instanceof MediaError)) return { code: status.INTERNAL, details: 'internal error', metadata };
  metadata.set(CODE_KEY, error.code);
  if (error.reason !== undefined) metadata.set(REASON_KEY, error.reason);
  if (error.retryAfterSeconds !== undefined) metadata.set(RETRY_KEY, String(error.retryAfterSeconds));
  const code = STATUS_OF_REASON[error.reason ?? ''] ?? TO_STATUS[error.code];
  metadata.set(DETAILS_KEY, statusDetails(error, code));
  // grpc-js percent-encodes it, which half a character (a text that was cut) would make throw.
  return { code, details: error.message.toWellFormed(), metadata };
};

const isServiceError = (error: unknown): error is ServiceError => error instanceof Error && 'code' in error && 'details' in error && 'metadata' in error;

/** The `MediaError` behind a failed call: the code the other side threw, if it is ours, else the nearest to its status. */
export const fromGrpc = (error: unknown): MediaError => {
  if (error instanceof MediaError) return error;
  if (!isServiceError(error)) return new MediaError('INTERNAL', messageOf(error), { cause: error });
  const text = (key: string): string | undefined => error.metadata.get(key)[0]?.toString();
  const told = text(CODE_KEY);
  const code = told !== undefined && Object.hasOwn(TO_STATUS, told) ? (told as ErrorCode) : (FROM_STATUS.get(error.code) ?? 'INTERNAL');
  const reason = text(REASON_KEY);
  const retry = Number(text(RETRY_KEY) ?? Number.NaN);
  return new MediaError(code, error.details === '' ? error.message : error.details, {
    cause: error,
    ...(reason === undefined ? {} : { reason }),
    ...(Number.isFinite(retry) ? { retryAfterSeconds: retry } : {}),
  });
};
