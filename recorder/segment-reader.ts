/** `SegmentReader` over recorded files, wherever they lie: runs in the control process, beside the edge that writes them (D-16). */
import { createHash, hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { MediaError } from '../core/errors.ts';
import type { Milliseconds } from '../core/units.ts';
import type { Logger } from '../platform/logging.ts';
import { codedPictures } from './coded-pictures.ts';
import { cutSegment, wholeSegment, withDiscontinuities } from './cmaf-cuts.ts';
import type { CmafHead, WholeSegment } from './cmaf-cuts.ts';
import { fragmentedStream } from './fragmented-stream.ts';
import { inOrder } from './in-order.ts';
import { planPlayback } from './playback-plan.ts';
import type { PlaybackPlanner } from './playback-planner.ts';
import type { CmafSegment, CodedPictures, PlaybackFile, PlaybackRange, RangePictures, RecordedFile, SegmentReader, SegmentRecord } from './port.ts';
import { ProgressiveFile } from './progressive-file.ts';
import { rangePictures } from './range-pictures.ts';
import { SegmentBytesFile } from './segment-bytes-file.ts';
import { isGone } from './segment-file.ts';
import type { SegmentFiles } from './segment-file.ts';
import { SegmentIndexCache, readSegmentHead } from './segment-index.ts';

/** Longest range of one file. */
const MAX_RANGE: Milliseconds = 12 * 3_600_000;
/** Twenty minutes in segments of 10 s: planned here within some milliseconds. */
const PLANNED_IN_THREAD = 120;
/** Indexes are read by so many at a time; the thread pool has four threads and others need one. */
const CONCURRENT_READS = 3;
/** A player asks for the same file many times, range by range. */
const MAX_CACHED_HEADER_BYTES = 64 << 20;
/** Some 200 bytes each. */
const MAX_CACHED_HEADS = 50_000;

export class LocalSegmentReader implements SegmentReader {
  readonly #files: SegmentFiles;
  readonly #logger: Logger;
  readonly #indexes: SegmentIndexCache;
  readonly #planner: PlaybackPlanner | undefined;
  readonly #playbacks = new LRUCache<string, ProgressiveFile>({ maxSize: MAX_CACHED_HEADER_BYTES, sizeCalculation: (file) => file.memory });
  readonly #heads = new LRUCache<string, CmafHead>({ max: MAX_CACHED_HEADS });

  /** Without a planner all playbacks are planned in this thread. */
  constructor(files: SegmentFiles, logger: Logger, indexes = new SegmentIndexCache(files), planner?: PlaybackPlanner) {
    this.#files = files;
    this.#logger = logger;
    this.#indexes = indexes;
    this.#planner = planner;
  }

  async playback(range: PlaybackRange, segments: readonly SegmentRecord[], signal: AbortSignal): Promise<PlaybackFile> {
    const { camera, from, to } = range;
    if (!(from < to)) throw new MediaError('INVALID_ARGUMENT', '`from` must be before `to`');
    if (to - from > MAX_RANGE) throw new MediaError('INVALID_ARGUMENT', 'a playback is at most 12 hours long; ask for several, or for a fragmented one', { reason: 'RANGE_TOO_LONG' });
    if (segments.length === 0) throw new MediaError('NOT_FOUND', 'nothing was recorded in this range', { reason: 'NOTHING_RECORDED', context: { camera } });
    const key = etagOf(range, segments);
    const cached = this.#playbacks.get(key);
    if (cached) return cached;

    const planned = this.#planner && segments.length > PLANNED_IN_THREAD
      ? await this.#planner.plan(range, segments, signal)
      : await planPlayback(range, segments, { files: this.#files, indexOf: (segment) => this.#indexes.get(segment) }, signal);
    const { plan, firstWall, lastWall, missing } = planned;
    for (const { segment, reason } of missing) this.#logger.warn({ segment: segments[segment]?.id, reason }, 'recording left out of a playback');
    const those = (numbers: readonly number[]): SegmentRecord[] => numbers.flatMap((i) => segments[i] ?? []);
    const etag = etagOf(range, those(planned.found));
    const file = new ProgressiveFile({ files: this.#files, logger: this.#logger, etag, plan, segments: those(planned.sources), firstWall, lastWall });
    this.#playbacks.set(key, file);
    return file;
  }

  async codedPictures(segment: SegmentRecord): Promise<CodedPictures | null> {
    return codedPictures(this.#files, segment, await this.#indexes.get(segment));
  }

  pictures(range: PlaybackRange, segments: readonly SegmentRecord[], signal: AbortSignal): Promise<RangePictures> {
    return rangePictures(range, segments, { files: this.#files, indexOf: (segment) => this.#indexes.get(segment), logger: this.#logger }, signal);
  }

  file(segment: SegmentRecord): RecordedFile {
    return new SegmentBytesFile(this.#files, segment, this.#logger);
  }

  fragments(range: PlaybackRange, segments: readonly SegmentRecord[], signal: AbortSignal): AsyncIterable<Buffer> {
    return fragmentedStream({ range, segments, files: this.#files, indexes: this.#indexes, logger: this.#logger }, signal);
  }

  async cmafSegments(range: PlaybackRange, segments: readonly SegmentRecord[], signal: AbortSignal): Promise<readonly CmafSegment[]> {
    const edges = new Set([segments[0], segments.at(-1)]);
    const found = await this.#readEach(segments, signal, async (segment): Promise<WholeSegment | undefined> => {
      const whole = wholeSegment(segment, await this.#head(segment));
      return edges.has(segment) ? cutSegment(whole, await this.#indexes.get(segment), range) : whole;
    });
    return withDiscontinuities(found, segments);
  }

  async #head(segment: SegmentRecord): Promise<CmafHead> {
    const cached = this.#heads.get(segment.id);
    if (cached) return cached;
    const { initBytes, mediaStart, tracks } = await readSegmentHead(this.#files, segment);
    const initDigest = hash('sha256', JSON.stringify(tracks.map(({ id, timescale, sampleEntry }) => [id, timescale, sampleEntry.toString('latin1')])), 'base64url');
    const head = { initBytes, initDigest, mediaStart };
    this.#heads.set(segment.id, head);
    return head;
  }

  /** A file that has gone since the list was made (retention) is left out, as if the list were newer. */
  async #readEach<T>(segments: readonly SegmentRecord[], signal: AbortSignal, read: (segment: SegmentRecord) => Promise<T | undefined>): Promise<T[]> {
    const found = await inOrder(segments, CONCURRENT_READS, async (segment) => {
      signal.throwIfAborted();
      try {
        return await read(segment);
      } catch (error) {
        if (!isGone(error)) throw error;
        this.#logger.warn({ segment: segment.id, err: error }, 'recording left out of a playback');
        return undefined;
      }
    });
    return found.filter((each) => each !== undefined);
  }
}

/** Strong: another byte in any of the files, or another range, is another tag. */
const etagOf = ({ camera, from, to }: PlaybackRange, segments: readonly SegmentRecord[]): string => {
  const hash = createHash('sha256').update(`1 ${camera} ${String(from)} ${String(to)}`);
  for (const { id, bytes } of segments) hash.update(` ${id} ${String(bytes)}`);
  return `"${hash.digest('base64url').slice(0, 32)}"`;
};
