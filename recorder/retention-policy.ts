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

/** Decides by age, then by total size, then by free disk; always the oldest closed segment over all cameras first. */
export const planRetention = (segments: readonly SegmentRecord[], now: Milliseconds, limits: RetentionLimits, disk: DiskState): RetentionPlan => {
  const closed = segments.filter(({ open }) => !open).sort((a, b) => a.start - b.start);
  let total = segments.reduce((sum, { bytes }) => sum + bytes, 0);
  let free = disk.freeBytes + disk.expiredBytes;
  const { minFreeBytes, maxBytes, windowMs } = limits;
  const expire: SegmentRecord[] = [];
  for (const segment of closed) {
    const age = now - (segment.start + segment.duration);
    const tooLarge = maxBytes !== null && total > maxBytes;
    const tooFull = free < minFreeBytes && (age > SPARED || free < Math.min(minFreeBytes, RESERVE_BYTES));
    if (age <= windowMs && !tooLarge && !tooFull) continue;
    expire.push(segment);
    total -= segment.bytes;
    free += segment.bytes;
  }
  return { expire, pressure: disk.freeBytes < minFreeBytes };
};
