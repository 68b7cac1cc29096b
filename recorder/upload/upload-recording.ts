/** Writes what of one uploaded file fills a camera's gaps, as segments of a session of its own. */
import { randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Part, PartMaker } from '../../muxer/port.ts';
import type { Logger } from '../../platform/logging.ts';
import type { Metrics } from '../../platform/metrics.ts';
import { withDeadline } from '../deadline.ts';
import type { SegmentChains } from '../integrity/segment-chains.ts';
import type { GapCause, SegmentRecord, UploadReport, UploadedMedia } from '../port.ts';
import type { SegmentInventory } from '../segment-inventory.ts';
import { appendToManifest } from '../segment-manifest.ts';
import { SegmentWriter } from '../segment-writer.ts';
import type { SegmentDisk, SegmentGap } from '../segment-writer.ts';
import { GapFiller } from './gap-filler.ts';
import { splitByRecorded } from './ranges.ts';
import type { WallRange } from './ranges.ts';

export interface UploadRecordingOptions {
  /** The recordings directory. */
  readonly directory: string;
  readonly segmentMs: Milliseconds;
  /** What retention would take at once is not written: only what lies in here. */
  readonly allowed: WallRange;
}

export interface UploadRecordingDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'recordedBytes'>;
  readonly inventory: SegmentInventory;
  readonly chains: SegmentChains | undefined;
  readonly segmentDisk?: SegmentDisk | undefined;
  /** Makes the parts of a session. */
  readonly partMaker: (camera: CameraId, sessionId: string, sessionStart: Milliseconds) => PartMaker;
}

/** As for recording: less is a matter of clocks. */
const GAP_THRESHOLD: Milliseconds = 50;

/** What a camera's index says around a file. */
interface Surroundings {
  readonly recorded: readonly (WallRange & { readonly cause: GapCause | undefined })[];
  /** Where the last recording before the file ends; null: there is none. */
  readonly before: Milliseconds | null;
}

export class UploadRecording {
  readonly #media: UploadedMedia;
  readonly #options: UploadRecordingOptions;
  readonly #deps: UploadRecordingDeps;
  readonly #sessionId = randomUUID();
  readonly #taken: WallRange[] = [];
  readonly #around: Surroundings;
  readonly #file: WallRange;
  #writer: SegmentWriter | undefined;
  /** The next segment is the first of this range. */
  #begins: WallRange | undefined;
  #sequence = 0;
  #segments = 0;
  #pictures = 0;

  constructor(media: UploadedMedia, options: UploadRecordingOptions, deps: UploadRecordingDeps) {
    this.#media = media;
    this.#options = options;
    this.#deps = deps;
    this.#file = { from: media.start, to: media.start + media.duration };
    this.#around = surroundings(deps.inventory.oldestOf(media.camera), this.#file);
  }

  /**
   * Writes until the file's end, or until `signal` aborts: then what is complete stays. Throws UNAVAILABLE (the disk is full or does not
   * answer, or the server stops), and what reading the file throws.
   */
  async run(signal: AbortSignal): Promise<UploadReport> {
    const { camera, start } = this.#media;
    const { allowed } = this.#options;
    const { free, covered } = splitByRecorded(this.#file, this.#around.recorded);
    const wanted = free.map(({ from, to }) => ({ from: Math.max(from, allowed.from), to: Math.min(to, allowed.to) })).filter(({ from, to }) => from < to);
    const filler = new GapFiller(wanted);
    const maker = this.#deps.partMaker(camera, this.#sessionId, start);
    let failed = true;
    try {
      if (wanted.length > 0) await this.#fill(filler, maker, signal);
      failed = false;
    } catch (error) {
      throw diskError(error);
    } finally {
      await this.#close(failed);
    }
    return { camera, sessionId: this.#sessionId, taken: this.#taken, alreadyRecorded: covered, segments: this.#segments, pictures: this.#pictures };
  }

  async #fill(filler: GapFiller, maker: PartMaker, signal: AbortSignal): Promise<void> {
    for await (const batch of this.#media.units()) {
      if (signal.aborted) throw new MediaError('UNAVAILABLE', 'The server is stopping.', { reason: 'STOPPING', retryAfterSeconds: 5 });
      let parts: Part[] = [];
      for (const each of batch) {
        const decision = filler.decide(each);
        if (decision.take === 'skip') continue;
        if (decision.take === 'begin') {
          await this.#write([...parts, ...maker.flush()]);
          await this.#close(false);
          parts = [];
          this.#begins = decision.range;
        }
        if (each.unit.kind === 'video') this.#pictures++;
        parts.push(...maker.push(each.unit));
      }
      await this.#write(parts);
      await setImmediate(); // live cameras come first
    }
    await this.#write(maker.flush());
  }

  async #write(parts: readonly Part[]): Promise<void> {
    let pending: Part[] = [];
    for (const part of parts) {
      const writer = this.#writer;
      if (writer && (!writer.accepts(part) || (part.randomAccess && part.wall - writer.start >= this.#options.segmentMs))) {
        await this.#append(pending);
        pending = [];
        await this.#close(false);
      }
      this.#writer ??= await this.#open(part);
      pending.push(part);
    }
    await this.#append(pending);
  }

  async #append(parts: readonly Part[]): Promise<void> {
    if (parts.length === 0 || !this.#writer) return;
    const bytes = await withDeadline(this.#deps.clock, this.#writer.write(parts));
    this.#deps.metrics.recordedBytes.inc({ camera: this.#media.camera }, bytes);
  }

  async #open(part: Part): Promise<SegmentWriter> {
    const { chains, clock, segmentDisk: disk } = this.#deps;
    const { camera } = this.#media;
    const signed = chains && { key: chains.key, link: (id: string) => chains.begin(camera, id) };
    const range = this.#begins;
    this.#begins = undefined;
    const opening = SegmentWriter.open(this.#options.directory, part, this.#sequence++, range ? this.#gapBefore(range, part.wall) : null, { ...signed, ...(disk ? { disk } : {}) });
    try {
      return await withDeadline(clock, opening);
    } catch (error) {
      opening.then((writer) => this.#seal(writer, true)).catch(() => undefined); // it is the opening itself that failed
      throw error;
    }
  }

  /** What is still missing before the first segment of a range; its cause is the one of the gap it fills. */
  #gapBefore(range: WallRange, wall: Milliseconds): SegmentGap | null {
    const previous = this.#around.recorded.findLast(({ to }) => to <= range.from)?.to ?? this.#around.before;
    if (previous === null || wall - previous <= GAP_THRESHOLD) return null;
    const next = this.#around.recorded.find(({ from }) => from >= range.to);
    return { length: Math.round(wall - previous), cause: next?.cause ?? 'publisher_lost' };
  }

  async #close(failed: boolean): Promise<void> {
    const writer = this.#writer;
    if (!writer) return;
    this.#writer = undefined;
    await withDeadline(this.#deps.clock, this.#seal(writer, failed));
  }

  /** Closes the file and tells the index, however long the disk takes. */
  async #seal(writer: SegmentWriter, failed: boolean): Promise<void> {
    const { inventory, chains, logger } = this.#deps;
    const { record, problem } = await writer.close(failed);
    if (!record) {
      if (writer.chain) chains?.abandon(this.#media.camera, writer.id, writer.chain);
      return;
    }
    inventory.put(record, problem === undefined);
    this.#segments++;
    this.#note(record);
    if (problem !== undefined) {
      logger.warn({ camera: record.camera, segment: record.id, err: problem }, 'segment not closed cleanly; the next start repairs it');
      return;
    }
    await appendToManifest(this.#options.directory, record, inventory).catch((error: unknown) => {
      logger.debug({ camera: record.camera, segment: record.id, err: error }, 'segment manifest not written');
    });
  }

  #note({ start, duration, gapBefore }: SegmentRecord): void {
    const last = this.#taken.at(-1);
    if (last && gapBefore === null && start - last.to <= GAP_THRESHOLD) this.#taken[this.#taken.length - 1] = { from: last.from, to: start + duration };
    else this.#taken.push({ from: start, to: start + duration });
  }
}

/** What lies in the file's time, with the recordings before and behind it. What is being written goes on. */
const surroundings = (segments: Iterable<SegmentRecord>, { from, to }: WallRange): Surroundings => {
  const recorded: (WallRange & { cause: GapCause | undefined })[] = [];
  let before: Milliseconds | null = null;
  for (const { start, duration, open, gapCause } of segments) {
    const end = open ? Infinity : start + duration;
    if (end <= from) before = Math.max(before ?? end, end);
    else recorded.push({ from: start, to: end, cause: gapCause });
    if (start >= to) break;
  }
  return { recorded, before };
};

const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

const diskError = (error: unknown): unknown => {
  if (error instanceof MediaError && error.reason === 'DISK_STUCK') return new MediaError('UNAVAILABLE', 'The disk does not answer.', { reason: 'DISK_STUCK', cause: error, retryAfterSeconds: 30 });
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && FULL.has(code) ? new MediaError('UNAVAILABLE', 'The disk is full.', { reason: 'DISK_FULL', cause: error, retryAfterSeconds: 60 }) : error;
};
