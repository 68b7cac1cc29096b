/** Which segments the rolling window gives up. Pure. */
import type { Milliseconds } from '../core/units.ts';
import type { SegmentRecord } from './port.ts';

export interface RetentionLimits {
  readonly windowMs: Milliseconds;
  readonly minFreeBytes: number;
  /** Most bytes of recordings in all; null: no limit. */
  readonly maxBytes: number | null;
}

export interface DiskState {
  /** Free for us now. */
  readonly freeBytes: number;
  /** Bytes of expired segments whose files are still there. */
  readonly expiredBytes: number;
}

export interface RetentionPlan {
  /** Oldest first. */
  readonly expire: readonly SegmentRecord[];
  /** The disk has less free than wanted: unlink expired files now, not in a minute. */
  readonly pressure: boolean;
}

/**
 * While only `minFreeBytes` is missed (somebody else may be filling the disk), the last minute stays: a recorder that deletes what it has
 * just written is no use. Below this reserve nothing but room for the next part counts.
 */
const SPARED: Milliseconds = 60_000;
const RESERVE_BYTES = 64 << 20;

/** What the policy chooses from: `SegmentInventory`. */
export interface SegmentsByAge {
  /** Open ones included. */
  readonly totalBytes: number;
  /** All cameras' segments by start. */
  oldestFirst(): Iterable<SegmentRecord>;
}

/**
 * Decides by age, then by total size, then by free disk; always the oldest closed segment over all cameras first. Looks only at the oldest,
 * until one began so late that neither it nor any after it can have to go.
 */
export const planRetention = (segments: SegmentsByAge, now: Milliseconds, limits: RetentionLimits, disk: DiskState): RetentionPlan => {
  const { minFreeBytes, maxBytes, windowMs } = limits;
  const reserve = Math.min(minFreeBytes, RESERVE_BYTES);
  let total = segments.totalBytes;
  let free = disk.freeBytes + disk.expiredBytes;
  const expire: SegmentRecord[] = [];
  for (const segment of segments.oldestFirst()) {
    const { start, duration, bytes, open } = segment;
    const tooLarge = maxBytes !== null && total > maxBytes;
    const mayFree = (age: Milliseconds): boolean => free < minFreeBytes && (age > SPARED || free < reserve);
    if (now - start <= windowMs && !tooLarge && !mayFree(now - start)) break;
    const age = now - (start + duration);
    if (open || (age <= windowMs && !tooLarge && !mayFree(age))) continue;
    expire.push(segment);
    total -= bytes;
    free += bytes;
  }
  return { expire, pressure: disk.freeBytes < minFreeBytes };
};
