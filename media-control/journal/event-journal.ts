import { basename, join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import { EventSchema } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import type { EdgeEvent, EventJournal } from '../port.ts';
import { toWireEvent, weightOf } from '../wire-events.ts';
import { FrameBuffer } from './buffer.ts';
import { JournalReader } from './journal-reader.ts';
import { newIdentity, readIdentity, writeIdentity } from './identity.ts';
import type { JournalIdentity } from './identity.ts';
import { Lane } from './lane.ts';
import type { LaneFile } from './lane.ts';

export interface EventJournalOptions {
  /** A folder of this journal alone. */
  readonly directory: string;
  /** `journal.max_bytes`. */
  readonly maxBytes: number;
  /** `journal.keep_hours`: acknowledged events stay so long. */
  readonly keepHours: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Events given up because the journal was full or the disk refused them, for the metric `journalDropped`. */
  readonly onDropped?: (type: 'detections' | 'events', count: number) => void;
}

const FLUSH_MS: Milliseconds = 50;
const LATER_MS: Milliseconds = 1_000;
/** After the disk has refused. */
const RETRY_MS: Milliseconds = 1_000;
const SWEEP_MS: Milliseconds = 60_000;
const FILE_AGE_MS: Milliseconds = 3_600_000;
/** Waiting in memory while the disk refuses: then detections are given up, and beyond twice that everything. */
const MAX_BUFFERED_BYTES = 16 * 1024 * 1024;
/**
 * After a stop that was not clean, numbers go on so much higher: a power cut may have taken the newest events from the disk although the
 * database has them, and a number must never name two events.
 */
const SKIP_AFTER_CRASH = 1_000_000;

/**
 * The edge's events on disk until the database has them (D-10). Detections lie in files of their own, so that they can give way first.
 * Session, segment and alarm events are written at once (they survive a kill -9 of the process), detections within 50 ms, and within a second what
 * holds only for now.
 */
export class FileEventJournal implements EventJournal, Disposable {
  readonly #options: EventJournalOptions;
  readonly #kept: Lane;
  readonly #detections: Lane;
  readonly #keptBuffer = new FrameBuffer();
  readonly #detectionBuffer = new FrameBuffer();
  readonly #listeners = new Set<() => void>();
  readonly #sweepTimer: Disposable;
  /** Files already told of. */
  readonly #damaged = new Set<string>();
  #flushTimer: Disposable | undefined;
  /** When the timer runs, `Clock.monotonic()`. */
  #flushDue: Milliseconds = 0;
  #identity: JournalIdentity;
  /** `acknowledged` as last put on disk. */
  #storedAcknowledged = 0;
  #lastSeq: number;
  /** Below `#lastSeq` while no event has come since numbers jumped ahead. */
  #lastEventSeq: number;
  #writtenSeq: number;
  #failing = false;
  /** The last write failed: nothing but the retry tries again. */
  #refused = false;
  #disposed = false;

  /** Opens or makes the journal; throws when its folder cannot be used. */
  constructor(options: EventJournalOptions) {
    this.#options = options;
    const fileBytes = Math.max(4096, Math.min(4 * 1024 * 1024, Math.floor(options.maxBytes / 16)));
    this.#identity = readIdentity(options.directory);
    this.#kept = new Lane(join(options.directory, 'events'), fileBytes);
    this.#detections = new Lane(join(options.directory, 'detections'), fileBytes);
    const torn = this.#kept.tornBytes + this.#detections.tornBytes;
    if (torn > 0) options.logger.info({ bytes: torn }, 'journal: half an event at the end was cut off');
    this.#lastEventSeq = Math.max(this.#kept.lastSeq, this.#detections.lastSeq);
    const last = Math.max(this.#identity.lastSeq, this.#lastEventSeq);
    this.#lastSeq = last === 0 || this.#identity.clean ? last : last + SKIP_AFTER_CRASH;
    this.#writtenSeq = this.#lastSeq;
    this.#remember({ clean: false });
    this.#sweepTimer = options.clock.every(SWEEP_MS, () => { this.sweep(); });
  }

  /** Stable for this data directory. */
  get journalId(): string { return this.#identity.journalId; }
  /** The last number given. */
  get newestSeq(): number { return this.#lastSeq; }
  /** Session, segment and alarm events up to here are gone. */
  get deletedThrough(): number { return this.#identity.deletedThrough; }
  get acknowledgedSeq(): number { return this.#identity.acknowledged; }
  /** Every event is in the database. */
  get delivered(): boolean { return this.#identity.acknowledged >= this.#lastEventSeq; }
  /** On disk, of both kinds. */
  get bytes(): number { return this.#kept.bytes + this.#detections.bytes; }

  append(event: EdgeEvent, when: 'now' | 'later' = 'now'): void {
    if (event.type === 'detections') {
      const results = event.results.filter((result) => result.detections.length > 0);
      if (results.length > 0) this.#add(this.#detectionBuffer, { type: 'detections', results });
      this.#flushWithin(FLUSH_MS);
      return;
    }
    if (event.type === 'rule' || event.type === 'code') {
      // As many as detections may be: they give way with them.
      this.#add(this.#detectionBuffer, event);
      this.#flushWithin(FLUSH_MS);
      return;
    }
    this.#add(this.#keptBuffer, event);
    if (when === 'later') this.#flushWithin(LATER_MS);
    else this.flush();
  }

  /** Writes what waits in memory. Never throws: what the disk refuses is tried again, and given up only beyond a bound, counted. */
  flush(): void {
    this.#flushTimer?.[Symbol.dispose]();
    this.#flushTimer = undefined;
    if (this.#disposed) return;
    const before = this.#writtenSeq;
    // Both or neither: a reader must not pass a number that is written only later.
    const written = this.#write(this.#kept, this.#keptBuffer) && this.#write(this.#detections, this.#detectionBuffer);
    if (written) {
      this.#failing = false;
      this.#refused = false;
      this.#writtenSeq = this.#lastSeq;
      this.#makeRoom();
      if (this.#writtenSeq > before) for (const listener of this.#listeners) listener();
    } else {
      this.#refused = true;
      this.#boundBuffers();
      this.#flushWithin(RETRY_MS);
    }
  }

  /** Called after events have been written. */
  onWritten(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  /** Reads what was written behind `after`, in order of the numbers. */
  reader(after: number): JournalReader {
    return new JournalReader({ lanes: [this.#kept, this.#detections], after, limit: () => this.#writtenSeq, onDamaged: (path) => { this.#onDamaged(path); } });
  }

  #onDamaged(path: string): void {
    if (this.#damaged.has(path)) return;
    this.#damaged.add(path);
    const file = basename(path);
    this.#options.logger.error({ path }, 'a journal file is damaged; what lies behind the damage is lost');
    this.append({ type: 'alarm', alarm: {
      id: `journal-damaged/${file}`, camera: null, code: 'journal_damaged', raised: true, at: this.#options.clock.now(),
      message: `A file of the edge's journal (${file}) is damaged: events behind the damage did not reach the database. Recordings are complete; look at the disk.`,
    } });
  }

  /** The database has everything up to `seq`. */
  acknowledge(seq: number): void {
    if (seq <= this.#identity.acknowledged) return;
    this.#identity = { ...this.#identity, acknowledged: seq };
    // Written when a whole file is done with: not knowing the last bit costs nothing but repeated events.
    const finished = [...this.#kept.finishedFiles, ...this.#detections.finishedFiles].some((file) => file.lastSeq > this.#storedAcknowledged && file.lastSeq <= seq);
    if (finished) this.#remember({ clean: false });
  }

  /** The database says it has everything up to `seq`, which may be less than it had: it was put back to an older state. */
  restartFrom(seq: number): void {
    if (seq < this.#identity.acknowledged) this.#remember({ clean: false, acknowledged: seq });
    else this.acknowledge(seq);
  }

  /**
   * The database knows more of this journal than there is: the data directory was put back to an older state. From now on it is another
   * journal, so that no number names two events; everything is sent again.
   */
  startAnew(): void {
    this.#identity = newIdentity(this.#lastSeq);
    this.#remember({ clean: false });
    this.#options.logger.warn({ journal: this.journalId }, 'journal: older than the database, it goes on under a new id');
  }

  /** Deletes what is acknowledged and old. Runs every minute. */
  sweep(): void {
    const now = this.#options.clock.now();
    for (const lane of [this.#kept, this.#detections]) {
      const last = lane.files.at(-1);
      if (last && now - last.writtenAt > FILE_AGE_MS) lane.closeFile();
      for (const file of lane.files) {
        if (file.lastSeq <= this.#identity.acknowledged && now - file.writtenAt > this.#options.keepHours * 3_600_000) this.#delete(lane, file);
      }
    }
  }

  /** Writes what waits, and leaves. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.flush();
    this.#flushTimer?.[Symbol.dispose]();
    this.#sweepTimer[Symbol.dispose]();
    this.#remember({ clean: this.#keptBuffer.empty && this.#detectionBuffer.empty });
    this.#disposed = true;
    this.#kept[Symbol.dispose]();
    this.#detections[Symbol.dispose]();
    this.#listeners.clear();
  }

  #flushWithin(delay: Milliseconds): void {
    const { clock } = this.#options;
    const wait = this.#refused ? Math.max(delay, RETRY_MS) : delay;
    const due = clock.monotonic() + wait;
    if (this.#flushTimer && this.#flushDue <= due) return;
    this.#flushTimer?.[Symbol.dispose]();
    this.#flushDue = due;
    this.#flushTimer = clock.after(wait, () => { this.flush(); });
  }

  #add(buffer: FrameBuffer, event: EdgeEvent): void {
    if (this.#disposed) return;
    this.#lastSeq += 1;
    this.#lastEventSeq = this.#lastSeq;
    buffer.add(this.#lastSeq, weightOf(event), toBinary(EventSchema, toWireEvent(event)));
  }

  #write(lane: Lane, buffer: FrameBuffer): boolean {
    const frames = buffer.take();
    if (!frames) return true;
    try {
      lane.write(frames.bytes, frames.firstSeq, frames.lastSeq, this.#options.clock.now());
    } catch (error) {
      if (!this.#failing) this.#options.logger.error({ error: messageOf(error) }, 'journal: the disk takes no events');
      this.#failing = true;
      return false;
    }
    buffer.clear();
    return true;
  }

  #boundBuffers(): void {
    if (this.#keptBuffer.bytes + this.#detectionBuffer.bytes <= MAX_BUFFERED_BYTES) return;
    this.#giveUp('detections', this.#detectionBuffer.clear());
    if (this.#keptBuffer.bytes > 2 * MAX_BUFFERED_BYTES) this.#giveUp('events', this.#keptBuffer.clear());
  }

  /** Below `maxBytes`: acknowledged files go first, then detections that nobody has seen, counted. The rest stays, whatever it takes. */
  #makeRoom(): void {
    for (const lane of [this.#detections, this.#kept]) {
      for (const file of lane.files) {
        if (this.bytes <= this.#options.maxBytes) return;
        if (file.lastSeq <= this.#identity.acknowledged) this.#delete(lane, file);
      }
    }
    const lost = { events: 0, weight: 0 };
    for (const file of this.#detections.files) {
      if (this.bytes <= this.#options.maxBytes) break;
      const { events, weight } = this.#detections.count(file);
      lost.events += events;
      lost.weight += weight;
      this.#delete(this.#detections, file);
    }
    if (lost.events > 0) this.#giveUp('detections', lost);
  }

  #giveUp(type: 'detections' | 'events', { events, weight }: { readonly events: number; readonly weight: number }): void {
    if (events === 0) return;
    this.#options.onDropped?.(type, weight);
    this.#options.logger.warn({ type, events, results: weight }, 'journal: full, events given up');
    this.#lastSeq += 1;
    this.#lastEventSeq = this.#lastSeq;
    const gap = create(EventSchema, { event: { case: 'gap', value: { type, events: BigInt(events), results: BigInt(weight) } } });
    this.#keptBuffer.add(this.#lastSeq, 1, toBinary(EventSchema, gap));
    this.#flushWithin(FLUSH_MS);
  }

  #delete(lane: Lane, file: LaneFile): void {
    lane.delete(file);
    if (lane !== this.#kept) return;
    this.#remember({ clean: false, deletedThrough: Math.max(this.#identity.deletedThrough, file.lastSeq) });
  }

  #remember(change: Partial<JournalIdentity>): void {
    this.#identity = { ...this.#identity, ...change, lastSeq: this.#lastSeq };
    try {
      writeIdentity(this.#options.directory, this.#identity);
      this.#storedAcknowledged = this.#identity.acknowledged;
    } catch (error) {
      if (!this.#failing) this.#options.logger.error({ error: messageOf(error) }, 'journal: its state cannot be written');
      this.#failing = true;
    }
  }
}
