/** Keeps the rolling window: asks the policy every few seconds, tells the index first, unlinks the files after the readers' grace (D-16). */
import { statfs, unlink } from 'node:fs/promises';
import type { Clock } from '../core/clock.ts';
import { MediaError } from '../core/errors.ts';
import type { Milliseconds } from '../core/units.ts';
import type { EventJournal } from '../media-control/port.ts';
import type { Logger } from '../platform/logging.ts';
import { withDeadline } from './deadline.ts';
import type { SegmentRecord } from './port.ts';
import { isDrastic, readHold, released, writeHold } from './retention-hold.ts';
import type { Hold } from './retention-hold.ts';
import { planRetention } from './retention-policy.ts';
import type { RetentionLimits, RetentionPlan } from './retention-policy.ts';
import type { SegmentInventory } from './segment-inventory.ts';
import { segmentPath } from './segment-path.ts';

/** What retention does to the disk. */
export interface RetentionDisk {
  /** Bytes free for us where `directory` is. */
  freeBytes(directory: string): Promise<number>;
  unlink(path: string): Promise<void>;
}

export interface RetentionDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly inventory: SegmentInventory;
  readonly journal: EventJournal;
  readonly disk?: RetentionDisk;
  /** The hold (by its `since`) that an operator has confirmed last. */
  readonly confirmed?: () => Milliseconds | undefined;
  /** Awaited before files go: what has expired is written down first, or it would be missed after a crash. Never throws, never waits for long. */
  readonly beforeUnlink?: () => Promise<void>;
}

const realDisk: RetentionDisk = {
  unlink,
  freeBytes: async (directory) => {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  },
};

const SWEEP_PERIOD: Milliseconds = 5_000;
/** A playback that has begun may still read an expired segment for so long. */
const READERS_GRACE: Milliseconds = 60_000;
/** A clean stop has 10 s for the whole server, and the cameras may have taken five. */
const STOP_DEADLINE: Milliseconds = 2_000;
const LOW_DISK_ALARM = 'recording/disk';
export const HOLD_ALARM = 'recording/retention';

interface Expired {
  readonly segment: SegmentRecord;
  readonly unlinkAt: Milliseconds;
}

export class Retention implements AsyncDisposable {
  readonly #directory: string;
  readonly #limits: RetentionLimits;
  readonly #deps: RetentionDeps;
  readonly #disk: RetentionDisk;
  readonly #timer: Disposable;
  #expired: Expired[] = [];
  #sweeping: Promise<boolean> | undefined;
  #alarmed = false;
  /** What waits for an operator's word; null: the file has not been read yet. */
  #hold: Hold | undefined | null = null;
  /** An operation that outlived its deadline has not come back: another one would only hold another of libuv's four threads. */
  #stuck = false;

  /** Sweeps every 5 s from now on. `directory` must exist. */
  constructor(directory: string, limits: RetentionLimits, deps: RetentionDeps) {
    this.#directory = directory;
    this.#limits = limits;
    this.#deps = deps;
    this.#disk = deps.disk ?? realDisk;
    this.#timer = deps.clock.every(SWEEP_PERIOD, () => void this.sweep());
  }

  /** Bytes of expired segments whose files are still there. */
  get expiredBytes(): number {
    return this.#expired.reduce((sum, { segment }) => sum + segment.bytes, 0);
  }

  /** Applies the policy now. Says whether any file went; not while the disk does not answer. Never throws; a sweep under way is shared. */
  sweep(): Promise<boolean> {
    this.#sweeping ??= this.#sweep().catch((error: unknown) => {
      this.#deps.logger.error({ err: error }, 'retention sweep failed');
      return false;
    }).finally(() => { this.#sweeping = undefined; });
    return this.#sweeping;
  }

  /** A write found the disk full, whatever `statfs` says (quotas): unlinks what has expired, and if there is none the oldest closed segment. */
  async relieve(): Promise<boolean> {
    if (await this.sweep()) return true;
    if (this.#stuck) return false;
    const oldest = this.#expired.length > 0 ? undefined : this.#oldestClosed();
    if (oldest) this.#expire(oldest, this.#deps.clock.monotonic());
    return this.#unlinkDue(true);
  }

  /** Ends the sweep under way; on a disk that does not answer it is left behind after two seconds. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer[Symbol.dispose]();
    if (this.#sweeping) await withDeadline(this.#deps.clock, this.#sweeping, STOP_DEADLINE).catch(() => undefined);
  }

  async #sweep(): Promise<boolean> {
    if (this.#stuck) return false;
    const { clock, inventory } = this.#deps;
    const freeBytes = await this.#answered(this.#disk.freeBytes(this.#directory));
    const plan = planRetention(inventory, clock.now(), this.#limits, { freeBytes, expiredBytes: this.expiredBytes });
    const { pressure } = plan;
    await this.#watchHold(plan);
    for (const segment of released(plan, this.#hold ?? undefined)) this.#expire(segment, clock.monotonic() + READERS_GRACE);
    const freed = await this.#unlinkDue(pressure);
    if (!pressure || !freed) this.#watchDisk(pressure, freeBytes); // while files go, it is not yet known whether that is enough
    return freed;
  }

  #oldestClosed(): SegmentRecord | undefined {
    for (const segment of this.#deps.inventory.oldestFirst()) if (!segment.open && !this.#limits.isKept(segment)) return segment;
    return undefined;
  }

  #expire(segment: SegmentRecord, unlinkAt: Milliseconds): void {
    this.#expired.push({ segment, unlinkAt });
    this.#deps.inventory.expire(segment);
  }

  async #unlinkDue(all: boolean): Promise<boolean> {
    const now = this.#deps.clock.monotonic();
    const due: Expired[] = [];
    const later: Expired[] = [];
    for (const entry of this.#expired) (all || entry.unlinkAt <= now ? due : later).push(entry);
    this.#expired = later;
    let freed = false;
    if (due.length > 0) await this.#deps.beforeUnlink?.();
    for (const [i, { segment }] of due.entries()) {
      try {
        await this.#answered(this.#disk.unlink(segmentPath(this.#directory, segment.id)));
        freed = true;
      } catch (error) {
        if (this.#stuck) this.#expired = [...due.slice(i), ...this.#expired]; // tried again when the disk answers
        else if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue; // somebody was quicker
        this.#deps.logger.error({ segment: segment.id, err: error }, 'recording not deleted');
        if (this.#stuck) return freed;
      }
    }
    return freed;
  }

  /** What `work` resolves to; throws DEADLINE_EXCEEDED after ten seconds, and nothing else is tried then until it has settled. */
  async #answered<T>(work: Promise<T>): Promise<T> {
    try {
      return await withDeadline(this.#deps.clock, work);
    } catch (error) {
      if (error instanceof MediaError && error.code === 'DEADLINE_EXCEEDED') {
        this.#stuck = true;
        const settled = (): void => { this.#stuck = false; };
        work.then(settled, settled);
      }
      throw error;
    }
  }

  /** Begins a hold when a plan is drastic, ends it when it was confirmed or nothing of it is to go any more. */
  async #watchHold(plan: RetentionPlan): Promise<void> {
    const { clock, inventory, confirmed, logger } = this.#deps;
    const before = this.#hold === null ? await this.#answered(readHold(this.#directory)) : this.#hold;
    let hold = before;
    const free = hold === undefined ? plan.expire : plan.expire.filter(({ start }) => start > (hold?.through ?? 0));
    if (hold && (confirmed?.() === hold.since || free.length === plan.expire.length)) hold = undefined;
    else if (isDrastic(hold ? { expire: free, expireBytes: free.reduce((sum, { bytes }) => sum + bytes, 0) } : plan, inventory.totalBytes)) {
      hold = { since: hold?.since ?? Math.floor(clock.now()), through: plan.expire.at(-1)?.start ?? 0 };
    }
    const first = this.#hold === null;
    this.#hold = hold;
    if (hold === before && !(first && hold)) return;
    if (hold !== before) await this.#answered(writeHold(this.#directory, hold, logger));
    this.#tellHold(hold, plan);
  }

  #tellHold(hold: Hold | undefined, { expire, expireBytes }: RetentionPlan): void {
    const { clock, inventory, journal, logger } = this.#deps;
    const size = `${String(expire.length)} segments, ${(expireBytes / 1e6).toFixed(0)} MB of ${(inventory.totalBytes / 1e6).toFixed(0)} MB`;
    const message = hold
      ? `More than half of all recordings (${size}) would go at once: the clock may have jumped, a window was made shorter, or the server was off for long. Nothing of it is deleted before you confirm it on the recordings page (only a disk that is nearly full takes what it needs).`
      : 'Nothing is held back from deletion any more.';
    if (hold) logger.warn({ segments: expire.length, bytes: expireBytes }, 'retention would delete more than half of everything: held');
    journal.append({ type: 'alarm', alarm: { id: HOLD_ALARM, camera: null, code: 'recording_retention_held', message, raised: hold !== undefined, at: hold?.since ?? clock.now() } });
  }

  /** Nothing left to delete and still too little room: an operator must act. */
  #watchDisk(low: boolean, freeBytes: number): void {
    if (low === this.#alarmed) return;
    this.#alarmed = low;
    const message = low
      ? `Less than recorder.min_free_bytes is free (${String(Math.round(freeBytes / 1e6))} MB), and there are no older recordings to delete but kept ones. Remove marks, shorten windows, or make room.`
      : 'There is enough room for recordings again.';
    this.#deps.journal.append({ type: 'alarm', alarm: { id: LOW_DISK_ALARM, camera: null, code: 'recording_disk_low', message, raised: low, at: this.#deps.clock.now() } });
  }
}
