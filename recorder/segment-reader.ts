/** `SegmentReader` over a directory of recorded files: runs in the control process, beside the edge that writes them (D-16). */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { LRUCache } from 'lru-cache';
import { MediaError } from '../core/errors.ts';
import { buildProgressive } from '../core/fmp4/progressive.ts';
import type { ProgressivePlan } from '../core/fmp4/progressive.ts';
import type { Milliseconds } from '../core/units.ts';
import type { Logger } from '../platform/logging.ts';
import { withParameterSets } from './parameter-sets.ts';
import { selectRange } from './playback-selection.ts';
import type { PlaybackFile, PlaybackRange, SegmentReader, SegmentRecord } from './port.ts';
import { SegmentIndexCache, openSegment } from './segment-index.ts';

/** Longest range of one file, and most samples: memory for the tables is 33 bytes a sample. */
const MAX_RANGE: Milliseconds = 6 * 3_600_000;
const MAX_SAMPLES = 4_000_000;
/** Indexes are read by so many at a time; the thread pool has four threads and others need one. */
const CONCURRENT_READS = 3;
const PIECE = 256 << 10;
/** A player asks for the same file many times, range by range. */
const MAX_CACHED_HEADER_BYTES = 64 << 20;

export class LocalSegmentReader implements SegmentReader {
  readonly #directory: string;
  readonly #logger: Logger;
  readonly #indexes: SegmentIndexCache;
  readonly #files = new LRUCache<string, LocalPlaybackFile>({ maxSize: MAX_CACHED_HEADER_BYTES, sizeCalculation: (file) => file.memory });

  constructor(directory: string, logger: Logger) {
    this.#directory = directory;
    this.#logger = logger;
    this.#indexes = new SegmentIndexCache(directory);
  }

  async playback(range: PlaybackRange, segments: readonly SegmentRecord[], signal: AbortSignal): Promise<PlaybackFile> {
    const { camera, from, to } = range;
    if (!(from < to)) throw new MediaError('INVALID_ARGUMENT', '`from` must be before `to`');
    if (to - from > MAX_RANGE) throw new MediaError('INVALID_ARGUMENT', 'a playback is at most 6 hours long; ask for several', { reason: 'RANGE_TOO_LONG' });
    if (segments.length === 0) throw new MediaError('NOT_FOUND', 'nothing was recorded in this range', { reason: 'NOTHING_RECORDED', context: { camera } });
    const etag = etagOf(range, segments);
    const cached = this.#files.get(etag);
    if (cached) return cached;

    const indexes = await this.#readIndexes(segments, signal);
    const samples = indexes.reduce((sum, { tracks }) => sum + tracks.reduce((all, track) => all + track.samples.length, 0), 0);
    if (samples > MAX_SAMPLES) throw new MediaError('INVALID_ARGUMENT', 'too many pictures for one playback; ask for a shorter range', { reason: 'RANGE_TOO_LONG' });
    const selection = selectRange(indexes, from, to);
    const ids = selection.segments.map((at) => indexes[at]?.info.id ?? '');
    const plan = buildProgressive(await withParameterSets(this.#directory, ids, selection.sources), selection.window);
    const file = new LocalPlaybackFile(this.#directory, this.#logger, etag, plan, ids, selection.firstWall, selection.lastWall);
    this.#files.set(etag, file);
    return file;
  }

  /** A file that has gone since the list was made (retention) is left out, as if the list were newer. */
  async #readIndexes(segments: readonly SegmentRecord[], signal: AbortSignal) {
    const indexes = await inOrder(segments, CONCURRENT_READS, async (segment) => {
      signal.throwIfAborted();
      try {
        return await this.#indexes.get(segment);
      } catch (error) {
        if (!(error instanceof MediaError)) throw error;
        this.#logger.warn({ segment: segment.id, err: error }, 'recording left out of a playback');
        return undefined;
      }
    });
    return indexes.filter((index) => index !== undefined);
  }
}

class LocalPlaybackFile implements PlaybackFile {
  readonly contentType = 'video/mp4';
  readonly etag: string;
  readonly byteLength: number;
  readonly firstWall: Milliseconds;
  readonly lastWall: Milliseconds;
  readonly #directory: string;
  readonly #logger: Logger;
  readonly #plan: ProgressivePlan;
  /** Segment ids by source. */
  readonly #ids: readonly string[];

  constructor(directory: string, logger: Logger, etag: string, plan: ProgressivePlan, ids: readonly string[], firstWall: Milliseconds, lastWall: Milliseconds) {
    this.#directory = directory;
    this.#logger = logger;
    this.#plan = plan;
    this.#ids = ids;
    this.etag = etag;
    this.byteLength = plan.byteLength;
    this.firstWall = firstWall;
    this.lastWall = lastWall;
  }

  /** Bytes held in memory. */
  get memory(): number { return this.#plan.header.length + this.#plan.extents.length * 64 + 512; }

  async *read(start: number, end: number, signal: AbortSignal): AsyncGenerator<Buffer> {
    const { header, extents } = this.#plan;
    const until = Math.min(end, this.byteLength);
    if (start < header.length && start < until) yield header.subarray(start, Math.min(until, header.length));
    let file: FileHandle | undefined;
    let opened = -1;
    try {
      for (let i = extentAt(extents, start); i < extents.length; i++) {
        const extent = extents[i];
        if (!extent || extent.position >= until) return;
        if (extent.inline) {
          yield extent.inline.subarray(Math.max(0, start - extent.position), Math.min(extent.length, until - extent.position));
          continue;
        }
        if (extent.source !== opened) {
          await file?.close();
          file = undefined;
          file = await openSegment(this.#directory, this.#ids[extent.source] ?? '');
          opened = extent.source;
        }
        const extentEnd = Math.min(until, extent.position + extent.length);
        for (let position = Math.max(start, extent.position); position < extentEnd;) {
          signal.throwIfAborted();
          const piece = await readExactly(file, extent.offset + position - extent.position, Math.min(PIECE, extentEnd - position));
          yield piece;
          position += piece.length;
        }
      }
    } catch (error) {
      if (!signal.aborted) this.#logger.error({ segment: this.#ids[opened] ?? null, err: error }, 'playback ended early: a recorded file is gone or short');
      throw error;
    } finally {
      await file?.close();
    }
  }
}

/** The first extent that ends after `position`. */
const extentAt = (extents: ProgressivePlan['extents'], position: number): number => {
  let low = 0;
  for (let high = extents.length; low < high;) {
    const middle = (low + high) >>> 1;
    const extent = extents[middle];
    if (extent && extent.position + extent.length <= position) low = middle + 1;
    else high = middle;
  }
  return low;
};

const readExactly = async (file: FileHandle | undefined, position: number, length: number): Promise<Buffer> => {
  const bytes = Buffer.allocUnsafe(length);
  for (let filled = 0; filled < length;) {
    const bytesRead = (await file?.read(bytes, filled, length - filled, position + filled))?.bytesRead ?? 0;
    if (bytesRead === 0) throw new MediaError('NOT_FOUND', 'the recorded file is shorter than its index says');
    filled += bytesRead;
  }
  return bytes;
};

/** Strong: another byte in any of the files, or another range, is another tag. */
const etagOf = ({ camera, from, to }: PlaybackRange, segments: readonly SegmentRecord[]): string => {
  const hash = createHash('sha256').update(`1 ${camera} ${String(from)} ${String(to)}`);
  for (const { id, bytes } of segments) hash.update(` ${id} ${String(bytes)}`);
  return `"${hash.digest('base64url').slice(0, 32)}"`;
};

/** Maps with at most `limit` at work; results in order. Throws the first failure. */
const inOrder = async <T, R>(items: readonly T[], limit: number, work: (item: T) => Promise<R>): Promise<R[]> => {
  const results: R[] = [];
  const queue = items.entries();
  const worker = async (): Promise<void> => {
    for (const [i, item] of queue) results[i] = await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return results;
};
