import { hash } from 'node:crypto';
import { join } from 'node:path';
import { paths } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { MediaError } from '../core/errors.ts';
import { lockExclusively } from '../platform/exclusive-lock.ts';
import { internalAddresses } from '../platform/runtime-directory.ts';

/** The processes of a server that was killed are gone within 2 s; with some patience for a slow machine. */
const WAIT_MS = 5_000;

/**
 * Keeps a second server off this one's files: journal, recordings, sockets. Held for as long as the process lives. Control processes that
 * share a PostgreSQL may share the folder, too, where they only read recordings; they must not share the address where edges attach.
 *
 * Throws FAILED_PRECONDITION when another process of the same role holds on to `data_dir`.
 */
export const lockData = (config: Config, role: 'supervisor' | 'edge' | 'control'): Disposable => {
  const { dataDir } = paths(config);
  const name = role === 'control' && config.database.url !== undefined ? `control-${hash('sha256', internalAddresses(config).control, 'hex').slice(0, 16)}` : role;
  const lock = lockExclusively(join(dataDir, 'locks', name), WAIT_MS);
  if (lock === null) throw new MediaError('FAILED_PRECONDITION', `Another server (${role}) runs on the folder ${dataDir}. Stop it first, or give this one a data_dir of its own.`);
  return lock;
};
