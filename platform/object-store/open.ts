import { join, resolve } from 'node:path';
import type { ArchiveConfig } from '../../config/archive.ts';
import { parseArchiveUrl } from '../../config/archive.ts';
import type { Clock } from '../../core/clock.ts';
import { invariant } from '../../core/errors.ts';
import { DirectoryStore } from './directory-store.ts';
import type { ObjectStore } from './object-store.ts';

/** The archive's store as configured; nothing is asked of it yet. The caller disposes it. */
export const openArchiveStore = async (config: ArchiveConfig, dataDir: string, clock: Clock): Promise<ObjectStore> => {
  const place = config.url === undefined ? { kind: 'file' as const, path: join(resolve(dataDir), 'archive') } : parseArchiveUrl(config.url);
  invariant(place !== undefined, 'the configuration has been checked');
  if (place.kind === 'file') return new DirectoryStore(place.path, clock);
  // Loaded only where it is used: it is larger than all the rest of the process.
  const { S3Store } = await import('./s3-store.ts');
  const { endpoint, region, access_key_id: accessKeyId, secret_access_key: secretAccessKey } = config;
  return new S3Store({ bucket: place.bucket, prefix: place.prefix, endpoint, region, clock, credentials: accessKeyId === undefined || secretAccessKey === undefined ? undefined : { accessKeyId, secretAccessKey } });
};
