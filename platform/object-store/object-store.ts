import { MediaError } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';

/** Bytes to store, whose length and hash are known beforehand. */
export interface ObjectSource {
  readonly size: number;
  /** SHA-256, hex, of all of it: nothing else is ever stored under the key. */
  readonly sha256: string;
  /** Where it lies on this machine, if it does and changes no more: a directory on the same file system takes the very file (hard link). */
  readonly path?: string;
  /** Bytes [start, end) in pieces of at most `PIECE_BYTES`. May be called again for the same bytes. */
  read(start: number, end: number, signal: AbortSignal): AsyncIterable<Buffer>;
}

export interface PutOptions {
  /** Nobody can delete it before the hold is lifted. Needs a store that `holds`. */
  readonly legalHold?: boolean;
  /** Asked before each piece is sent; resolves when it may go. */
  readonly pace?: (bytes: number, signal: AbortSignal) => Promise<void>;
}

export interface ObjectInfo {
  readonly key: string;
  readonly size: number;
  /** Unix ms. */
  readonly modified: Milliseconds;
}

export interface ObjectHead extends ObjectInfo {
  /** Hex; undefined where the store keeps none. */
  readonly sha256: string | undefined;
  /** Under a legal hold or a retention that has not ended. */
  readonly locked: boolean;
}

export interface ObjectPage {
  readonly items: readonly ObjectInfo[];
  /** Give it as `after` for what follows; undefined: this was the last page. */
  readonly next: string | undefined;
}

/**
 * Immutable objects under keys (`a/b/c.mp4`). An object appears whole or not at all, and what is put twice is one object.
 *
 * Every method throws a `MediaError`: INVALID_ARGUMENT for a key that is none, UNAVAILABLE when the store cannot be reached or says so,
 * DEADLINE_EXCEEDED when it does not answer, PERMISSION_DENIED when it refuses us, FAILED_PRECONDITION where the reason says what is
 * wrong: CHECKSUM_MISMATCH, OBJECT_LOCKED, BUCKET_NOT_FOUND, OBJECT_STORE_REFUSED.
 */
export interface ObjectStore extends Disposable {
  /** For people, without secrets. */
  readonly place: string;
  /** Whether it knows legal holds. */
  readonly holds: boolean;
  /** Resolves when the store has it durably and has verified the checksum. An upload that was broken off goes on where it was. */
  put(key: string, source: ObjectSource, options: PutOptions, signal: AbortSignal): Promise<void>;
  /** Bytes [start, end), at most `MAX_GET_BYTES`. Throws NOT_FOUND when there is no such object or it is shorter. */
  get(key: string, start: number, end: number, signal: AbortSignal): Promise<Buffer>;
  /** Undefined: no such object. */
  head(key: string, signal: AbortSignal): Promise<ObjectHead | undefined>;
  /** In the order of the keys. */
  list(prefix: string, after: string | undefined, signal: AbortSignal): Promise<ObjectPage>;
  /** No such object: nothing to do. Throws FAILED_PRECONDITION (OBJECT_LOCKED) when it is held. */
  delete(key: string, signal: AbortSignal): Promise<void>;
  /** Gives up uploads that were begun before `cutoff` (Unix ms) and never finished; how many. */
  abortStale(cutoff: Milliseconds, signal: AbortSignal): Promise<number>;
}

export const PIECE_BYTES = 256 << 10;
export const MAX_GET_BYTES = 8 << 20;

const MAX_KEY = 512;
const KEY = /^[A-Za-z0-9_][A-Za-z0-9._=-]*(?:\/[A-Za-z0-9_][A-Za-z0-9._=-]*)*$/;

/** Throws INVALID_ARGUMENT for what is no key, so that none leads out of a directory or needs escaping anywhere. */
export const checkKey = (key: string): void => {
  if (key.length > MAX_KEY || !KEY.test(key)) throw new MediaError('INVALID_ARGUMENT', 'not the key of an object', { reason: 'OBJECT_KEY', context: { key: key.slice(0, 100) } });
};

/** Throws INVALID_ARGUMENT for a range that is none or too long. */
export const checkRange = (start: number, end: number): void => {
  if (!(start >= 0 && start < end && end - start <= MAX_GET_BYTES)) throw new MediaError('INVALID_ARGUMENT', 'not a range of bytes that can be read at once', { reason: 'OBJECT_RANGE' });
};

export const notFound = (key: string, cause?: unknown): MediaError => new MediaError('NOT_FOUND', 'there is no such object', { reason: 'OBJECT_NOT_FOUND', context: { key }, cause });

export const checksumMismatch = (key: string, cause?: unknown): MediaError =>
  new MediaError('FAILED_PRECONDITION', 'the bytes are not those of their checksum', { reason: 'CHECKSUM_MISMATCH', context: { key }, cause });

export const locked = (key: string, cause?: unknown): MediaError =>
  new MediaError('FAILED_PRECONDITION', 'the object is under a legal hold or retention', { reason: 'OBJECT_LOCKED', context: { key }, cause });
