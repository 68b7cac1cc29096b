import { ConsecutiveBreaker, ExponentialBackoff, circuitBreaker, handleWhen } from 'cockatiel';
import type { CircuitBreakerPolicy } from 'cockatiel';
import type { Clock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import type { Metrics } from '../../platform/metrics.ts';
import { FileSource } from '../../platform/object-store/file-source.ts';
import type { ObjectStore } from '../../platform/object-store/object-store.ts';
import { Pace, wait } from '../../platform/object-store/pace.ts';
import type { AlarmService } from '../alarms/service.ts';
import { archiveKey } from './keys.ts';
import type { ArchiveOutage } from './outage.ts';
import type { ArchiveStore, WaitingSegment } from './store.ts';

export interface ArchiverOptions {
  readonly store: ArchiveStore;
  readonly objects: ObjectStore;
  /** Where a segment's file lies on this machine. */
  readonly pathOf: (segmentId: string) => string;
  readonly outage: ArchiveOutage;
  readonly alarms: Pick<AlarmService, 'raise'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'archivedSegments' | 'archivedBytes' | 'archiveFailures' | 'archiveWaitingSegments' | 'archiveWaitingBytes'>;
  readonly concurrency: number;
  readonly maxBitsPerSecond: number | null;
  readonly legalHold: boolean;
  /** For tests: how long it waits between looks, and at first and at most before it asks a store again that is down. */
  readonly idleMs?: Milliseconds;
  readonly backoffMs?: Milliseconds;
  readonly maxBackoffMs?: Milliseconds;
}

const IDLE_MS: Milliseconds = 2_000;
const BACKOFF_MS: Milliseconds = 500;
const MAX_BACKOFF_MS: Milliseconds = 60_000;
/** Failures in a row, of any segments, after which the store is left alone, longer each time. */
const BREAK_AFTER = 3;
/** Segments fetched at a time. */
const BATCH = 64;
/** A segment whose file is at fault is tried again after this; so many are remembered. */
const FAULTY_MS: Milliseconds = 600_000;
const MAX_FAULTY = 10_000;
const MEASURE_MS: Milliseconds = 15_000;
/** The file, not the store, is at fault. */
const SOURCE_FAULTS: ReadonlySet<string> = new Set(['SOURCE_GONE', 'SOURCE_CHANGED', 'SOURCE_UNREADABLE', 'CHECKSUM_MISMATCH']);

const reasonOf = (error: unknown): string => (error instanceof MediaError ? error.reason ?? error.code : 'OTHER');
const isSourceFault = (error: unknown): boolean => SOURCE_FAULTS.has(reasonOf(error));

/**
 * Copies what marks want into the object store (ADR 4). It remembers nothing: what waits is asked of the database, what is half done of the
 * store, so that a killed process goes on where it was. The spool of an outage is the edge's disk, which keeps what is not yet archived.
 */
export class Archiver implements AsyncDisposable {
  readonly #options: ArchiverOptions;
  readonly #pace: Pace | undefined;
  readonly #breaker: CircuitBreakerPolicy;
  readonly #faulty = new Map<string, Milliseconds>();
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #uploading = 0;
  #lastArchivedAt: Milliseconds | null = null;

  constructor(options: ArchiverOptions) {
    this.#options = options;
    const { clock, maxBitsPerSecond, backoffMs = BACKOFF_MS, maxBackoffMs = MAX_BACKOFF_MS } = options;
    this.#pace = maxBitsPerSecond === null ? undefined : new Pace(clock, maxBitsPerSecond);
    this.#breaker = circuitBreaker(handleWhen((error) => !isSourceFault(error) && !this.#stop.signal.aborted), { breaker: new ConsecutiveBreaker(BREAK_AFTER), halfOpenAfter: new ExponentialBackoff({ initialDelay: backoffMs, maxDelay: maxBackoffMs }) });
  }

  /** Segments being sent now. */
  get uploading(): number { return this.#uploading; }
  /** Unix ms, since the start of this process. */
  get lastArchivedAt(): Milliseconds | null { return this.#lastArchivedAt; }

  get #stopped(): boolean { return this.#stop.signal.aborted; }

  start(): void {
    this.#running = Promise.all([this.#loop('archiving', () => this.#round()), this.#loop('counting what waits for the archive', () => this.#measure())]).then(() => undefined);
  }

  /** Stops at once: what is being sent is sent again later, or goes on there. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the archiver stops'));
    await this.#running;
  }

  async #loop(what: string, step: () => Promise<Milliseconds>): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      let pause = this.#options.idleMs ?? IDLE_MS;
      try {
        pause = await step();
      } catch (error) {
        if (!this.#stopped) logger.error({ error: messageOf(error) }, `${what} failed`);
      }
      await wait(clock, pause, signal).catch(() => undefined); // it ends by being stopped
    }
  }

  /** Everything that waits, once, oldest first within a page of marks; how long to pause after it. */
  async #round(): Promise<Milliseconds> {
    const { store, clock, idleMs = IDLE_MS } = this.#options;
    let after = '';
    for (;;) {
      this.#stop.signal.throwIfAborted();
      const { segments, next } = await store.waiting(after, BATCH + this.#faulty.size);
      const now = clock.monotonic();
      const ready = segments.filter(({ id }) => (this.#faulty.get(id) ?? -Infinity) <= now);
      if (ready.length > 0) {
        // The rest of what these marks want is asked for when these are done.
        if (!(await this.#archiveAll(ready.slice(0, BATCH)))) return idleMs;
      } else if (next === undefined) return idleMs;
      else after = next;
    }
  }

  /** False: the store is left alone for now. */
  async #archiveAll(segments: readonly WaitingSegment[]): Promise<boolean> {
    const queue = segments.values();
    let open = true;
    const worker = async (): Promise<void> => {
      for (const segment of queue) {
        if (!open || this.#stop.signal.aborted) return;
        if (!(await this.#archive(segment))) open = false;
      }
    };
    // All have ended before anything else begins, whatever one of them throws.
    const ended = await Promise.allSettled(Array.from({ length: Math.min(this.#options.concurrency, segments.length) }, worker));
    for (const each of ended) if (each.status === 'rejected') throw each.reason;
    return open;
  }

  /** False when it failed because of the store. Throws what the database says. */
  async #archive(segment: WaitingSegment): Promise<boolean> {
    const { store, clock, metrics, outage } = this.#options;
    this.#uploading++;
    try {
      await this.#breaker.execute(() => this.#attempt(segment));
    } catch (error) {
      if (!isSourceFault(error) || this.#stopped) return false;
      await this.#setAside(segment, error);
      return true;
    } finally {
      this.#uploading--;
    }
    await store.setArchived(segment.id, clock.now());
    this.#faulty.delete(segment.id);
    this.#lastArchivedAt = clock.now();
    metrics.archivedSegments.inc();
    metrics.archivedBytes.inc(segment.bytes);
    await outage.succeeded();
    return true;
  }

  async #attempt({ id, bytes, sha256 }: WaitingSegment): Promise<void> {
    const { objects, pathOf, legalHold, metrics, outage } = this.#options;
    const { signal } = this.#stop;
    const key = archiveKey(id);
    try {
      if (key === undefined) throw new MediaError('FAILED_PRECONDITION', 'not the id of a segment', { reason: 'SOURCE_CHANGED' });
      await using source = await FileSource.open(pathOf(id), bytes, sha256);
      const there = await objects.head(key, signal);
      if (there?.sha256 === sha256 && there.size === bytes) return; // sent, but the database did not hear of it
      await objects.put(key, source, { legalHold, ...(this.#pace === undefined ? {} : { pace: (length, stop) => this.#pace?.take(length, stop) ?? Promise.resolve() }) }, signal);
    } catch (error) {
      if (!signal.aborted) {
        metrics.archiveFailures.inc({ reason: reasonOf(error) });
        if (!isSourceFault(error)) await outage.failed(error);
      }
      throw error;
    }
  }

  /** The others go on. A file that is gone will soon be out of the index; one that is not what was recorded is told. */
  async #setAside(segment: WaitingSegment, error: unknown): Promise<void> {
    const { clock, logger, alarms } = this.#options;
    const known = this.#faulty.has(segment.id);
    if (this.#faulty.size >= MAX_FAULTY) this.#faulty.clear();
    this.#faulty.set(segment.id, clock.monotonic() + FAULTY_MS);
    if (known) return;
    logger.warn({ segment: segment.id, reason: messageOf(error) }, 'a segment cannot be archived');
    if (reasonOf(error) === 'SOURCE_GONE') return;
    await alarms.raise({ id: `archive-${segment.id}`, code: 'archive_damaged', camera: segment.camera_id, message: `The recording ${segment.id} is not what was recorded and does not go to the archive: ${messageOf(error)}. Keep its file, and verify the recordings.` });
  }

  async #measure(): Promise<Milliseconds> {
    const { store, clock, metrics } = this.#options;
    let segments = 0;
    let bytes = 0;
    for (let after: string | undefined = ''; after !== undefined;) {
      const sum = await store.countWaiting(after);
      segments += sum.segments;
      bytes += sum.bytes;
      after = sum.next;
      await wait(clock, 20, this.#stop.signal);
    }
    metrics.archiveWaitingSegments.set(segments);
    metrics.archiveWaitingBytes.set(bytes);
    return MEASURE_MS;
  }
}
