/**
 * One error vocabulary: the gRPC codes (google/rpc/code.proto). It is mapped once to HTTP (`httpStatus` below) and once to gRPC (`platform/grpc/errors.ts`).
 * `MediaError` is for what others did wrong or what the world denies us; a broken invariant of ours throws `Error`.
 */
export type ErrorCode =
  | 'INVALID_ARGUMENT' // 400
  | 'UNPROCESSABLE' // understood, but not something this server does: 422 (gRPC INVALID_ARGUMENT)
  | 'NOT_ACCEPTABLE' // WHEP: nothing in the offer can carry this stream: 406 (gRPC FAILED_PRECONDITION)
  | 'UNSUPPORTED_MEDIA_TYPE' // 415 (gRPC INVALID_ARGUMENT)
  | 'PAYLOAD_TOO_LARGE' // 413 (gRPC INVALID_ARGUMENT)
  | 'UNAUTHENTICATED' // 401
  | 'PERMISSION_DENIED' // 403
  | 'NOT_FOUND' // 404
  | 'ALREADY_EXISTS' // 409
  | 'FAILED_PRECONDITION' // 409: valid, but not in this state (no publisher yet)
  | 'RESOURCE_EXHAUSTED' // 429
  | 'UNAVAILABLE' // 503
  | 'DEADLINE_EXCEEDED' // 504
  | 'INTERNAL'; // 500

export interface MediaErrorOptions {
  readonly cause?: unknown;
  /** Fields for the log and for problem+json extension members: the camera, what happened, what to do. Never secrets. */
  readonly context?: Readonly<Record<string, string | number | boolean | null>>;
  /** A machine-readable reason finer than the code, e.g. `B_FRAMES`; becomes `code` in problem+json. */
  readonly reason?: string;
  /** Seconds after which trying again makes sense; becomes `Retry-After`. */
  readonly retryAfterSeconds?: number;
}

export class MediaError extends Error {
  readonly code: ErrorCode;
  readonly context: Readonly<Record<string, string | number | boolean | null>>;
  readonly reason: string | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, message: string, options: MediaErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'MediaError';
    this.code = code;
    this.context = options.context ?? {};
    this.reason = options.reason;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

const HTTP_STATUS: Readonly<Record<ErrorCode, number>> = {
  INVALID_ARGUMENT: 400,
  UNPROCESSABLE: 422,
  NOT_ACCEPTABLE: 406,
  UNSUPPORTED_MEDIA_TYPE: 415,
  PAYLOAD_TOO_LARGE: 413,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  FAILED_PRECONDITION: 409,
  RESOURCE_EXHAUSTED: 429,
  UNAVAILABLE: 503,
  DEADLINE_EXCEEDED: 504,
  INTERNAL: 500,
};

/** The one table from our codes to HTTP status codes. */
export const httpStatus = (code: ErrorCode): number => HTTP_STATUS[code];

/** What is asked does not answer now, and may later. */
export const isUnavailable = (error: unknown): error is MediaError => error instanceof MediaError && (error.code === 'UNAVAILABLE' || error.code === 'DEADLINE_EXCEEDED');

/** Throws a plain `Error` (our bug, not their input) when `condition` does not hold. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${message}`);
}

/** Marks a branch the type checker proves impossible. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}

/** The message of anything thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
