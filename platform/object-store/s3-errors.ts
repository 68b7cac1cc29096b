import { MediaError, messageOf } from '../../core/errors.ts';
import { checksumMismatch, locked, notFound } from './object-store.ts';

/** What differs between stores by name: Amazon and Versity, MinIO. */
const CHECKSUM: ReadonlySet<string> = new Set(['BadDigest', 'XAmzContentChecksumMismatch', 'XAmzContentSHA256Mismatch', 'InvalidDigest']);
const LOCKED: ReadonlySet<string> = new Set(['ObjectLocked', 'InvalidRequestObjectLocked']);
/** The last is Versity's, with status 404. */
const DENIED: ReadonlySet<string> = new Set(['AccessDenied', 'InvalidAccessKeyId', 'SignatureDoesNotMatch', 'CredentialsProviderError', 'XAdminUserNotFound']);
const ABSENT: ReadonlySet<string> = new Set(['NoSuchKey', 'NotFound', 'NoSuchVersion']);

/** The HTTP status an S3 client's error carries; undefined when there was no answer. */
export const statusOf = (error: unknown): number | undefined => {
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return undefined;
  const metadata = error.$metadata;
  return typeof metadata === 'object' && metadata !== null && 'httpStatusCode' in metadata && typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined;
};

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : '');

/** Whether it says that there is no such object. 404 alone may mean the bucket or our access key; an answer to HEAD has nothing else. */
export const isAbsent = (error: unknown): boolean => ABSENT.has(nameOf(error));

/** Whatever the S3 client throws, in our vocabulary. */
export const toStoreError = (error: unknown, key: string): MediaError => {
  if (error instanceof MediaError) return error;
  const name = nameOf(error);
  const status = statusOf(error);
  const told = `${name === '' || name === 'Error' ? 'error' : name}: ${messageOf(error)}`.slice(0, 300);
  if (CHECKSUM.has(name)) return checksumMismatch(key, error);
  if (LOCKED.has(name)) return locked(key, error);
  if (name === 'NoSuchBucket') return new MediaError('FAILED_PRECONDITION', 'the bucket does not exist', { reason: 'BUCKET_NOT_FOUND', cause: error });
  if (isAbsent(error)) return notFound(key, error);
  if (status === 401 || status === 403 || DENIED.has(name)) return new MediaError('PERMISSION_DENIED', `the object store refuses us: ${told}`, { reason: 'OBJECT_STORE_DENIED', cause: error });
  if (status === undefined || status >= 500 || status === 408 || status === 429) return new MediaError('UNAVAILABLE', `the object store cannot be reached: ${told}`, { reason: 'OBJECT_STORE_UNAVAILABLE', cause: error });
  return new MediaError('FAILED_PRECONDITION', `the object store refuses: ${told}`, { reason: 'OBJECT_STORE_REFUSED', cause: error });
};
