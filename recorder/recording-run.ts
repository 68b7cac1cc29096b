/** One attempt to record a camera: takes parts from its branch of the Hub and writes segments until told to stop or until something fails. */
import type { Clock } from '../core/clock.ts';
import type { Branch } from '../core/hub.ts';
import type { Milliseconds } from '../core/units.ts';
import type { Logger } from '../platform/logging.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Part, PartStream } from '../muxer/port.ts';
import { withDeadline } from './deadline.ts';
import { beforeRun } from './gap-cause.ts';
import type { PublicationEnds } from './gap-cause.ts';
import type { SegmentChains } from './integrity/segment-chains.ts';
import type { FsyncPolicy, GapCause, SegmentRecord } from './port.ts';
import type { SegmentInventory } from './segment-inventory.ts';
import { appendToManifest } from './segment-manifest.ts';
import { SegmentWriter } from './segment-writer.ts';
import type { SegmentDisk, SegmentGap } from './segment-writer.ts';

export interface RecordingOptions {
  /** The recordings directory. */
  readonly directory: string;
  readonly segmentMs: Milliseconds;
  readonly flushMs: Milliseconds;
  /** By default `segment`. */
  readonly fsync?: { readonly policy: FsyncPolicy; readonly intervalMs: Milliseconds };
}

export interface RecordingDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'recorderLag' | 'recordedBytes' | 'branchDropped'>;
  readonly inventory: SegmentInventory;
  /** Absent: segments are neither chained nor signed. */
  readonly chains?: SegmentChains | undefined;
  /** By default the real one. */
  readonly segmentDisk?: SegmentDisk;
  readonly publicationEnds: PublicationEnds;
  /** What kept the recorder from recording between `before` and this run. */
  readonly keptBy: (before: SegmentRecord) => GapCause;
}

/** The branch's bounds: half a minute of a 4 Mbit/s camera several times over; then the disk is not keeping up, and that is a failure. */
const MAX_QUEUED_PARTS = 300;
const MAX_QUEUED_BYTES = 48 << 20;
/** The index hears of a growing segment this often. */
const INDEX_INTERVAL: Milliseconds = 2_000;
/** Less than this between two segments is a matter of clocks, not a gap. */
const GAP_THRESHOLD: Milliseconds = 50;

/** So much missing within a publication is a gap, as it is for the muxer; less is a picture that lasts longer. */
const HOLE: Milliseconds = 2_000;

interface TrackPosition {
  readonly kind: 'video' | 'audio';
  readonly dts: number;
}

/** Where the pictures of a part end; the sound, where there are none. */
const endOf = ({ samples }: Part): TrackPosition | undefined => {
  const kind = samples[0]?.kind;
  const last = samples.findLast((sample) => sample.kind === kind);
  return last && { kind: last.kind, dts: last.dts + last.duration };
};

export class RecordingRun {
  readonly #options: RecordingOptions;
  readonly #deps: RecordingDeps;
  readonly #camera: string;
  readonly #branch: Branch<Part>;
  /** Unix ms. */
  readonly #began: Milliseconds;
  readonly #nextSequence: () => number;
  readonly #onWritten: () => void;
  #writer: SegmentWriter | undefined;
  #pending: Part[] = [];
  #pendingSince: Milliseconds = 0;
  #pendingDuration: Milliseconds = 0;
  #indexedAt: Milliseconds = 0;
  #syncedAt: Milliseconds = 0;
  #takenEnd: TrackPosition | undefined;
  /** Wall time at the end of the part taken last. */
  #takenUntil: Milliseconds | undefined;
  #previous: { readonly sessionId: string; readonly epoch: number; readonly endDts: number | undefined } | undefined;
  #writing: readonly Part[] = [];
  /** The next part while it is waited for; `#arrived` once it is there. */
  #incoming: Promise<void> | undefined;
  #arrived: IteratorResult<Part, undefined> | undefined;
  /** The segment closes once what is queued is written; of epochs up to this, if others come meanwhile. */
  #closeThrough: number | undefined;
  #wake: (() => void) | undefined;

  /** Subscribes at once, so that no part is missed between the decision to record and `run`. `onWritten`: called after every successful write. */
  constructor(stream: PartStream, options: RecordingOptions, deps: RecordingDeps, nextSequence: () => number, onWritten: () => void) {
    this.#options = options;
    this.#deps = deps;
    this.#camera = stream.camera;
    this.#began = deps.clock.now();
    this.#nextSequence = nextSequence;
    this.#onWritten = onWritten;
    this.#branch = stream.parts.subscribe({ name: 'recorder', dropPolicy: 'fail', maxUnits: MAX_QUEUED_PARTS, maxBytes: MAX_QUEUED_BYTES });
  }

  /** Nothing more of this epoch and those before it comes: the segment closes once what is queued is written. */
  closeSegment(epoch: number): void {
    this.#closeThrough = Math.max(this.#closeThrough ?? epoch, epoch);
    this.#wake?.();
  }

  /** Writes what is queued by now, closes the segment and lets `run` return. */
  stop(): void {
    this.#branch.end();
  }

  /** How old the oldest part not yet written is. */
  lag(now: Milliseconds): Milliseconds {
    const oldest = this.#writing[0] ?? this.#pending[0];
    return oldest ? Math.max(0, now - oldest.wall - oldest.duration) : 0;
  }

  /** Records until `stop` or the end of the stream. Throws when the disk or the queue fails; the segment is closed at its last good byte then. */
  async run(): Promise<void> {
    let failed = true;
    try {
      while (await this.#step());
      failed = false;
    } finally {
      const lost = this.#writing.length + this.#pending.length + this.#branch.queuedUnits;
      if (lost > 0) this.#deps.metrics.branchDropped.inc({ camera: this.#camera, branch: 'recorder', reason: 'write_failed' }, lost);
      this.#branch[Symbol.dispose]();
      await this.#closeWriter(failed);
    }
  }

  /** Takes what there is, writes what is due, waits for more. False: done. */
  async #step(): Promise<boolean> {
    const part = this.#next();
    if (part) {
      await this.#take(part);
      return true;
    }
    const ended = this.#arrived?.done === true;
    if (this.#closeThrough !== undefined || ended) {
      this.#closeThrough = undefined;
      await this.#flush();
      await this.#closeWriter(false);
      if (ended) return false;
    }
    if (this.#pending.length > 0 && this.#isDue()) await this.#flush();
    await this.#wait();
    return true;
  }

  /** The next part if it is there. */
  #next(): Part | undefined {
    if (this.#arrived && !this.#arrived.done) {
      const { value } = this.#arrived;
      this.#arrived = undefined;
      return value;
    }
    return this.#incoming ? undefined : this.#branch.poll();
  }

  async #take(part: Part): Promise<void> {
    if (this.#writer && this.#mustCut(part, this.#writer)) {
      await this.#flush();
      await this.#closeWriter(false);
      if (this.#closeThrough !== undefined && part.epoch > this.#closeThrough) this.#closeThrough = undefined; // it was about the segment that is closed now
    }
    if (!this.#writer) {
      // Audio that joined in the middle of a GOP makes a new init, and its part goes on where the last one ended: it is kept, too.
      if (!part.randomAccess && !this.#continues(part)) {
        this.#deps.metrics.branchDropped.inc({ camera: this.#camera, branch: 'recorder', reason: 'awaiting_random_access' });
        return;
      }
      this.#writer = await this.#open(part);
    }
    if (this.#pending.length === 0) this.#pendingSince = this.#deps.clock.monotonic();
    this.#pending.push(part);
    this.#takenEnd = endOf(part) ?? this.#takenEnd;
    this.#takenUntil = part.wall + part.duration;
    this.#pendingDuration += part.duration;
    if (this.#isDue()) await this.#flush();
  }

  /** A disk that does not answer fails the run; a file that is there after all is removed again, nobody writes it. */
  async #open(part: Part): Promise<SegmentWriter> {
    const { chains, clock, segmentDisk: disk } = this.#deps;
    const signed = chains && { key: chains.key, link: (id: string) => chains.begin(this.#camera, id) };
    const opening = SegmentWriter.open(this.#options.directory, part, this.#nextSequence(), this.#gapTo(part), { ...signed, ...(disk ? { disk } : {}) });
    this.#syncedAt = clock.monotonic();
    try {
      return await withDeadline(clock, opening);
    } catch (error) {
      opening.then((writer) => this.#seal(writer, true)).catch(() => undefined); // it is the opening itself that failed
      throw error;
    }
  }

  #mustCut(part: Part, writer: SegmentWriter): boolean {
    return !writer.accepts(part) || (part.randomAccess && (part.wall - writer.start >= this.#options.segmentMs || this.#holeBefore(part) >= HOLE || this.#leapTo(part) >= HOLE));
  }

  /** Milliseconds missing between the part taken last and this one of the same epoch. */
  #holeBefore(part: Part): Milliseconds {
    const [first] = part.samples;
    const end = this.#takenEnd;
    if (!first || first.kind !== end?.kind) return 0;
    return ((first.dts - end.dts) * 1000) / (part.init.tracks[first.kind]?.clockRate ?? 90_000);
  }

  /** Milliseconds of wall time between the part taken last and this one. */
  #leapTo(part: Part): Milliseconds {
    return this.#takenUntil === undefined ? 0 : part.wall - this.#takenUntil;
  }

  #isDue(): boolean {
    const { flushMs } = this.#options;
    return this.#pendingDuration >= flushMs || this.#deps.clock.monotonic() - this.#pendingSince >= flushMs;
  }

  async #flush(): Promise<void> {
    const parts = this.#pending;
    const writer = this.#writer;
    if (!writer || parts.length === 0) return;
    this.#pending = [];
    this.#pendingDuration = 0;
    this.#writing = parts;
    const { clock, metrics, inventory } = this.#deps;
    const bytes = await withDeadline(clock, writer.write(parts));
    this.#writing = [];
    await this.#sync(writer);
    metrics.recordedBytes.inc({ camera: this.#camera }, bytes);
    const now = clock.monotonic();
    if (writer.bytes === bytes || now - this.#indexedAt >= INDEX_INTERVAL) {
      this.#indexedAt = now;
      inventory.put(writer.record());
    }
    this.#onWritten();
  }

  /** Puts on the disk what the policy wants there by now. Parts wait in the branch meanwhile; nobody else does. */
  async #sync(writer: SegmentWriter): Promise<void> {
    const { clock } = this.#deps;
    const { policy, intervalMs } = this.#options.fsync ?? { policy: 'segment', intervalMs: 0 };
    if (policy === 'segment' || (policy === 'interval' && clock.monotonic() - this.#syncedAt < intervalMs)) return;
    await withDeadline(clock, writer.sync());
    this.#syncedAt = clock.monotonic();
  }

  async #closeWriter(failed: boolean): Promise<void> {
    const writer = this.#writer;
    if (!writer) return;
    this.#writer = undefined;
    this.#pending = [];
    this.#pendingDuration = 0;
    this.#previous = failed ? undefined : { sessionId: writer.sessionId, epoch: writer.epoch, endDts: writer.endDts('video') ?? writer.endDts('audio') };
    // A disk that hangs fails the run but not this: the segment is closed whenever the disk answers.
    await withDeadline(this.#deps.clock, this.#seal(writer, failed));
  }

  /** Closes the file and tells the index, however long the disk takes. */
  async #seal(writer: SegmentWriter, failed: boolean): Promise<void> {
    const { logger, inventory, chains } = this.#deps;
    const { record, problem } = await writer.close(failed);
    if (record) inventory.put(record, problem === undefined); // what may not be on the disk is not pinned as if it were
    else if (writer.chain) chains?.abandon(this.#camera, writer.id, writer.chain);
    if (problem !== undefined) logger.warn({ camera: this.#camera, segment: writer.id, err: problem }, 'segment not closed cleanly; the next start repairs it');
    else if (record) {
      // Only a memory aid for the next start, which will read the file instead.
      await appendToManifest(this.#options.directory, record, inventory).catch((error: unknown) => {
        logger.debug({ camera: this.#camera, segment: record.id, err: error }, 'segment manifest not written');
      });
    }
  }

  /** Whether `part` goes on, tick for tick, where the segment just closed ended. */
  #continues(part: Part): boolean {
    const [first] = part.samples;
    const previous = this.#previous;
    if (!first || previous?.endDts === undefined || previous.sessionId !== part.sessionId) return false;
    return Math.abs(first.dts - previous.endDts) * 1000 <= GAP_THRESHOLD * (part.init.tracks[first.kind]?.clockRate ?? 90_000);
  }

  /** What is missing before `part`; null: nothing, or nothing is before it. */
  #gapTo(part: Part): SegmentGap | null {
    if (this.#continues(part)) {
      const leap = this.#leapTo(part);
      return leap >= HOLE ? { length: Math.round(leap), cause: 'clock_set' } : null;
    }
    const previous = this.#previous;
    const before = this.#deps.inventory.newest(part.camera);
    if (!before) return null;
    // Behind a clock that was set back the newest by time is not the one before.
    const end = before.start > part.wall && this.#takenUntil !== undefined ? this.#takenUntil : before.start + before.duration;
    const gap = part.wall - end;
    if (gap <= GAP_THRESHOLD) return null;
    const { publicationEnds, keptBy } = this.#deps;
    return { length: Math.round(gap), cause: previous ? publicationEnds.between(previous.epoch, part.epoch) : beforeRun(keptBy(before), part.epoch, this.#began) };
  }

  /** Waits for a part, for `closeSegment`, or until pending parts are due. Throws when the branch has failed. */
  async #wait(): Promise<void> {
    if (this.#arrived) return; // while something was written
    this.#incoming ??= this.#branch.next().then((result) => {
      this.#arrived = result;
      this.#incoming = undefined;
    });
    let timer: Disposable | undefined;
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (this.#closeThrough !== undefined) resolve();
      else if (this.#pending.length > 0) timer = this.#deps.clock.after(this.#options.flushMs, resolve);
    });
    try {
      await Promise.race([this.#incoming, woken]);
    } finally {
      this.#wake = undefined;
      timer?.[Symbol.dispose]();
    }
  }
}
