/** Which segments the rolling window gives up. Pure. */
import type { CameraId } from '../core/frame-ref.ts';
import type { Milliseconds } from '../core/units.ts';
import type { SegmentRecord } from './port.ts';

/** How much of one camera is kept. */
export interface CameraLimits {
  readonly windowMs: Milliseconds;
  /** Null: no limit of its own. */
  readonly maxBytes: number | null;
}

export interface RetentionLimits {
  readonly of: (camera: CameraId) => CameraLimits;
  readonly minFreeBytes: number;
  /** Most bytes of recordings in all; null: no limit. */
  readonly maxBytes: number | null;
  /** Spared whatever the limits say: a mark asks for it, or nobody has said yet what marks ask for. */
  readonly isKept: (segment: SegmentRecord) => boolean;
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
  /** Bytes of these. */
  readonly expireBytes: number;
  /** The disk has less free than wanted: unlink expired files now, not in a minute. */
  readonly pressure: boolean;
  /** Bytes to free whatever else is said, because recording would stop at once; 0 while there is a reserve. */
  readonly neededBytes: number;
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
  cameras(): Iterable<CameraId>;
  bytesOf(camera: CameraId): number;
  /** One camera's segments by start. */
  oldestOf(camera: CameraId): Iterable<SegmentRecord>;
  /** All cameras' segments by start. */
  oldestFirst(): Iterable<SegmentRecord>;
}

/**
 * Decides for each camera by age and its own bytes, then by total size and free disk, there always the oldest closed segment over all cameras
 * first. Looks only at the oldest, until one began so late that neither it nor any after it can have to go, and at those that are kept.
 */
export const planRetention = (segments: SegmentsByAge, now: Milliseconds, limits: RetentionLimits, disk: DiskState): RetentionPlan => {
  const reserve = Math.min(limits.minFreeBytes, RESERVE_BYTES);
  const chosen = new Set<SegmentRecord>();
  let chosenBytes = 0;
  const choose = (segment: SegmentRecord): void => {
    chosen.add(segment);
    chosenBytes += segment.bytes;
  };
  for (const camera of segments.cameras()) for (const segment of beyondItsLimits(segments, camera, now, limits)) choose(segment);

  const free = (): number => disk.freeBytes + disk.expiredBytes + chosenBytes;
  const tooLarge = (): boolean => limits.maxBytes !== null && segments.totalBytes - chosenBytes > limits.maxBytes;
  const mayFree = (age: Milliseconds): boolean => free() < limits.minFreeBytes && (age > SPARED || free() < reserve);
  for (const segment of segments.oldestFirst()) {
    if (!tooLarge() && !mayFree(now - segment.start)) break;
    const age = now - (segment.start + segment.duration);
    if (segment.open || chosen.has(segment) || (!tooLarge() && !mayFree(age)) || limits.isKept(segment)) continue;
    choose(segment);
  }
  const missing = limits.minFreeBytes - disk.freeBytes - disk.expiredBytes;
  return {
    expire: [...chosen].sort((a, b) => a.start - b.start), expireBytes: chosenBytes, pressure: disk.freeBytes < limits.minFreeBytes, neededBytes: disk.freeBytes < reserve ? Math.max(0, missing) : 0,
  };
};

/** Segments of one camera that its own window and bytes give up. */
const beyondItsLimits = function* (segments: SegmentsByAge, camera: CameraId, now: Milliseconds, limits: RetentionLimits): Generator<SegmentRecord> {
  const { windowMs, maxBytes } = limits.of(camera);
  let bytes = segments.bytesOf(camera);
  for (const segment of segments.oldestOf(camera)) {
    const tooLarge = maxBytes !== null && bytes > maxBytes;
    if (now - segment.start <= windowMs && !tooLarge) return;
    const age = now - (segment.start + segment.duration);
    if (segment.open || (age <= windowMs && !tooLarge) || limits.isKept(segment)) continue;
    yield segment;
    bytes -= segment.bytes;
  }
};
