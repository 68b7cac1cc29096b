import { createHash } from 'node:crypto';
import { PIECE_BYTES } from '../../platform/object-store/object-store.ts';
import type { ObjectSource } from '../../platform/object-store/object-store.ts';

/** Bytes in memory as the source of an object. */
export const memorySource = (bytes: Buffer): ObjectSource => ({
  size: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex'),
  async *read(start, end, signal) {
    for (let at = start; at < end; at += PIECE_BYTES) {
      signal.throwIfAborted();
      yield await Promise.resolve(bytes.subarray(at, Math.min(end, at + PIECE_BYTES)));
    }
  },
});
