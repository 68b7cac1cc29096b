/** `SegmentReader` over recorded files, wherever they lie: runs in the control process, beside the edge that writes them (D-16). */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { MediaError } from '../core/errors.ts';
import { buildProgressive } from '../core/fmp4/progressive.ts';
import type { Milliseconds } from '../core/units.ts';
import type { Logger } from '../platform/logging.ts';
import { withParameterSets } from './parameter-sets.ts';
import { selectRange } from './playback-selection.ts';
import type { PlaybackFile, PlaybackRange, SegmentReader, SegmentRecord } from './port.ts';
import { ProgressiveFile } from './progressive-file.ts';
import type { SegmentFiles } from './segment-file.ts';
import { SegmentIndexCache } from './segment-index.ts';

/** Longest range of one file, and most samples: memory for the tables is 33 bytes a sample. */
const MAX_RANGE: Milliseconds = 6 * 3_600_000;
const MAX_SAMPLES = 4_000_000;
/** Indexes are read by so many at a time; the thread pool has four threads and others need one. */
const CONCURRENT_READS = 3;
/** A player asks for the same file many times, range by range. */
const MAX_CACHED_HEADER_BYTES = 64 << 20;

export class LocalSegmentReader implements SegmentReader {
  readonly #files: SegmentFiles;
  readonly #logger: Logger;
  readonly #indexes: SegmentIndexCache;
  readonly #playbacks = new LRUCache<string, ProgressiveFile>({ maxSize: MAX_CACHED_HEADER_BYTES, sizeCalculation: (file) => file.memory });

  constructor(files: SegmentFiles, logger: Logger) {
    this.#files = files;
    this.#logger = logger;
    this.#indexes = new SegmentIndexCache(files);
  }

  async playback(range: PlaybackRange, segments: readonly SegmentRecord[], signal: AbortSignal): Promise<PlaybackFile> {
    const { camera, from, to } = range;
    if (!(from < to)) throw new MediaError('INVALID_ARGUMENT', '`from` must be before `to`');
    if (to - from > MAX_RANGE) throw new MediaError('INVALID_ARGUMENT', 'a playback is at most 6 hours long; ask for several', { reason: 'RANGE_TOO_LONG' });
    if (segments.length === 0) throw new MediaError('NOT_FOUND', 'nothing was recorded in this range', { reason: 'NOTHING_RECORDED', context: { camera } });
    const key = etagOf(range, segments);
    const cached = this.#playbacks.get(key);
    if (cached) return cached;

    const found = await this.#readIndexes(segments, signal);
    const indexes = found.map(({ index }) => index);
    const samples = indexes.reduce((sum, { tracks }) => sum + tracks.reduce((all, track) => all + track.samples.length, 0), 0);
    if (samples > MAX_SAMPLES) throw new MediaError('INVALID_ARGUMENT', 'too many pictures for one playback; ask for a shorter range', { reason: 'RANGE_TOO_LONG' });
    const selection = selectRange(indexes, from, to);
    const used = selection.segments.flatMap((at) => found[at]?.segment ?? []);
    const plan = buildProgressive(await withParameterSets(this.#files, used, selection.sources), selection.window);
    const { firstWall, lastWall } = selection;
    const etag = etagOf(range, found.map(({ segment }) => segment));
    const file = new ProgressiveFile({ files: this.#files, logger: this.#logger, etag, plan, segments: used, firstWall, lastWall });
    this.#playbacks.set(key, file);
    return file;
  }

  /** A file that has gone since the list was made (retention) is left out, as if the list were newer. */
  async #readIndexes(segments: readonly SegmentRecord[], signal: AbortSignal) {
    const indexes = await inOrder(segments, CONCURRENT_READS, async (segment) => {
      signal.throwIfAborted();
      try {
        return { segment, index: await this.#indexes.get(segment) };
      } catch (error) {
        if (!(error instanceof MediaError)) throw error;
        this.#logger.warn({ segment: segment.id, err: error }, 'recording left out of a playback');
        return undefined;
      }
    });
    return indexes.filter((index) => index !== undefined);
  }
}

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
