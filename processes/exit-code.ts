import { MediaError } from '../core/errors.ts';

/** A role exits with this code (EX_CONFIG of sysexits.h) when starting it again would fail again: a port that is taken, a configuration that cannot work. */
export const FATAL_EXIT_CODE = 78;

const UNUSABLE_ADDRESS = new Set(['EADDRINUSE', 'EACCES', 'EADDRNOTAVAIL']);

/** With which code a role ends that could not start because of `error`. */
export const exitCodeOf = (error: unknown): number => {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof MediaError && (cause.code === 'INVALID_ARGUMENT' || cause.code === 'FAILED_PRECONDITION')) return FATAL_EXIT_CODE;
    if ('code' in cause && typeof cause.code === 'string' && UNUSABLE_ADDRESS.has(cause.code)) return FATAL_EXIT_CODE;
  }
  return 1;
};
