/** Reads what a recorded file holds by its box headers and `moof`s alone: ten seconds of video cost some 100 small reads. */
import { LRUCache } from 'lru-cache';
import { decodeSampleIndex, sampleIndexSize } from '../core/fmp4/sample-index-box.ts';
import { frameAt } from '../core/fmp4/segment-info-box.ts';
import { SIGNATURE_BOX_BYTES, decodeSignatureBox } from '../core/fmp4/signature-box.ts';
import { MediaError, messageOf } from '../core/errors.ts';
import type { RecordedSample, SegmentRecord } from './port.ts';
import type { SegmentBytes, SegmentFiles } from './segment-file.ts';
import { CutOffError, Scan, Window } from './segment-scan.ts';
import type { SegmentHead, SegmentIndex } from './segment-scan.ts';

export type { IndexedTrack, SegmentHead, SegmentIndex } from './segment-scan.ts';

/** How much is read of the end of a file: by the last one's sample index, that of the next of the camera is one read, and hardly more than it must be. */
export class TrailerWindow {
  /** Holds the sample index of ten seconds of video and sound. */
  #bytes = 32 << 10;

  get bytes(): number { return this.#bytes; }

  /** A file's sample index and what follows it took `bytes`. */
  seen(bytes: number): void { this.#bytes = Math.ceil(bytes * 1.1); }
}

/**
 * Reads the index of an open segment's first `bytes` bytes. A defect after the head is reported, not thrown: the parts before it stay good.
 * Throws INVALID_ARGUMENT when the head (`moov` and our `uuid` box) cannot be read, and what `read` throws.
 */
export const scanSegment = async (file: SegmentBytes, bytes: number): Promise<SegmentIndex> => {
  const scan = new Scan();
  const window = new Window(file, bytes);
  let position = 0;
  try {
    while (position < bytes) {
      const box = await window.header(position);
      await scan.take(box, window, bytes);
      position = box.end;
    }
  } catch (error) {
    if (!(error instanceof MediaError)) throw error;
    return scan.finish(messageOf(error), error instanceof CutOffError ? position : null);
  }
  return position === scan.wholeBytes ? scan.finish() : scan.finish('ends inside a part', position);
};

/** Reads the index of `record`'s file: indexed bytes only, so an open segment may grow meanwhile. Throws NOT_FOUND when the file is gone. `trailer`: the same for files of one camera. */
export const readSegmentIndex = async (files: SegmentFiles, record: SegmentRecord, trailer = new TrailerWindow()): Promise<SegmentIndex> => {
  await using file = await files.open(record);
  // Awaited here, because the file closes when this returns.
  return (record.open ? undefined : await readTrailer(file, record.bytes, trailer)) ?? (await scanSegment(file, record.bytes));
};

/** The index by the sample index at the end of a closed file and its head alone: two reads. Undefined when there is none or it makes no sense. */
const readTrailer = async (file: SegmentBytes, bytes: number, trailer: TrailerWindow): Promise<SegmentIndex | undefined> => {
  const tail = new Window(file, bytes);
  const head = new Window(file, bytes);
  try {
    const tailStart = Math.max(0, bytes - trailer.bytes);
    await tail.hold(tailStart, bytes);
    const end = decodeSignatureBox(tail.bytes) ? bytes - SIGNATURE_BOX_BYTES : bytes;
    const size = sampleIndexSize(tail.bytes.subarray(0, end - tail.start));
    if (size === undefined || size > end) return undefined;
    await tail.hold(end - size, end);
    trailer.seen(bytes - end + size);
    const index = decodeSampleIndex(tail.bytes.subarray(end - size - tail.start, end - tail.start), end - size);
    return (await scanHead(head, bytes)).finishWith(index, bytes);
  } catch (error) {
    if (error instanceof MediaError) return undefined; // the boxes themselves will tell
    throw error;
  }
};

/** Reads the beginning of `record`'s file alone. Throws NOT_FOUND when the file is gone, INVALID_ARGUMENT when it makes no sense. */
export const readSegmentHead = async (files: SegmentFiles, record: SegmentRecord): Promise<SegmentHead> => {
  await using file = await files.open(record);
  return await headOf(file, record.bytes);
};

/** As `readSegmentHead`, of bytes at hand. */
export const headOf = async (file: SegmentBytes, bytes: number): Promise<SegmentHead> => (await scanHead(new Window(file, bytes), bytes)).finishHead();

const scanHead = async (window: Window, bytes: number): Promise<Scan> => {
  const scan = new Scan();
  for (let position = 0; !scan.hasHead;) {
    const box = await window.header(position);
    await scan.take(box, window, bytes);
    position = box.end;
  }
  return scan;
};

/** All samples of an index, per track in file order. */
export function* recordedSamples(index: SegmentIndex): Generator<RecordedSample> {
  for (const { track, samples, bases } of index.tracks) {
    for (let i = 0; i < samples.length; i++) {
      const pts = samples.pts[i] ?? 0;
      yield {
        kind: track.kind,
        frame: frameAt(index.info, bases, i, pts, track.timescale),
        wall: (index.wallAtZero[samples.part[i] ?? 0] ?? 0) + (pts * 1000) / track.timescale,
        dts: samples.dts[i] ?? 0,
        pts,
        duration: samples.duration[i] ?? 0,
        randomAccess: samples.sync[i] === 1,
        segmentId: index.info.id,
        offset: samples.offset[i] ?? 0,
        bytes: samples.bytes[i] ?? 0,
      };
    }
  }
}

/** Indexes of closed segments, kept while memory allows; open ones are read anew, since they grow. */
export class SegmentIndexCache {
  readonly #files: SegmentFiles;
  readonly #cache: LRUCache<string, SegmentIndex>;

  constructor(files: SegmentFiles, maxBytes = 64 << 20) {
    this.#files = files;
    this.#cache = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: (index) => 4096 + index.tracks.reduce((sum, { samples }) => sum + samples.byteSize, 0),
    });
  }

  async get(record: SegmentRecord): Promise<SegmentIndex> {
    const key = `${record.id} ${String(record.bytes)}`;
    const cached = this.#cache.get(key);
    if (cached) return cached;
    const index = await readSegmentIndex(this.#files, record);
    if (!record.open) this.#cache.set(key, index);
    return index;
  }
}
