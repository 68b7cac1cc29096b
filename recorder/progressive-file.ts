/** The bytes of a planned MP4: its own header, then what the plan takes out of the recorded files. */
import { MediaError, messageOf } from '../core/errors.ts';
import type { ProgressivePlan } from '../core/fmp4/progressive.ts';
import type { Milliseconds } from '../core/units.ts';
import type { Logger } from '../platform/logging.ts';
import type { PlaybackFile, SegmentRecord } from './port.ts';
import { readExactly } from './segment-file.ts';
import type { SegmentFile, SegmentFiles } from './segment-file.ts';

/** One read, and one buffer handed to the client's socket. */
const PIECE = 512 << 10;
/** What lies between two extents of a file (the headers of a part) is read along with them if it is no more than this. */
const MAX_BETWEEN = 16 << 10;

export interface ProgressiveFileOptions {
  readonly files: SegmentFiles;
  readonly logger: Logger;
  readonly etag: string;
  readonly plan: ProgressivePlan;
  /** By source of the plan. */
  readonly segments: readonly SegmentRecord[];
  readonly firstWall: Milliseconds;
  readonly lastWall: Milliseconds;
}

export class ProgressiveFile implements PlaybackFile {
  readonly contentType = 'video/mp4';
  readonly etag: string;
  readonly byteLength: number;
  readonly firstWall: Milliseconds;
  readonly lastWall: Milliseconds;
  readonly #options: ProgressiveFileOptions;

  constructor(options: ProgressiveFileOptions) {
    this.#options = options;
    this.etag = options.etag;
    this.byteLength = options.plan.byteLength;
    this.firstWall = options.firstWall;
    this.lastWall = options.lastWall;
  }

  /** Bytes held in memory. */
  get memory(): number {
    const { header, extents } = this.#options.plan;
    return header.length + extents.byteSize + 512;
  }

  /** The next piece is read while the client takes this one. */
  async *read(start: number, end: number, signal: AbortSignal): AsyncGenerator<Buffer> {
    const { plan: { header }, files, segments, logger } = this.#options;
    const until = Math.min(end, this.byteLength);
    if (start < header.length && start < until) yield header.subarray(start, Math.min(until, header.length));
    const opened = new OpenedSegment(files);
    const pieces = piecesOf(this.#options.plan, start, until);
    const next = async (): Promise<Buffer | undefined> => {
      const step = pieces.next();
      if (step.done === true) return undefined;
      const piece = step.value;
      signal.throwIfAborted();
      return piece.inline ?? compact(await readExactly(await opened.take(segments[piece.source]), piece.offset, piece.length), piece.cuts);
    };
    let reading = next();
    try {
      for (;;) {
        const bytes = await reading;
        if (!bytes) return;
        reading = next();
        reading.catch(() => undefined); // told by the `await` above, if it still comes to it
        yield bytes;
      }
    } catch (error) {
      if (!signal.aborted) logger.error({ segment: opened.id, reason: messageOf(error) }, 'playback ended early: a recorded file is gone or short');
      throw error;
    } finally {
      await reading.catch(() => undefined);
      await opened.close();
    }
  }
}

/** One contiguous read out of a file and which of its bytes count, or bytes of our own. */
interface Piece {
  readonly inline?: Buffer;
  readonly source: number;
  readonly offset: number;
  readonly length: number;
  /** [from, to) within what is read, in order. */
  readonly cuts: readonly (readonly [number, number])[];
}

/** The bytes [start, until) of the file, without the header. */
function* piecesOf({ header, extents }: ProgressivePlan, start: number, until: number): Generator<Piece> {
  let piece: { source: number; offset: number; length: number; cuts: [number, number][] } | undefined;
  for (let i = extents.find(Math.max(start, header.length)); i < extents.count; i++) {
    const extent = extents.at(i);
    if (!extent || extent.position >= until) break;
    const from = Math.max(0, start - extent.position);
    const to = Math.min(extent.length, until - extent.position);
    if (extent.inline) {
      if (piece) yield piece;
      piece = undefined;
      yield { inline: extent.inline.subarray(from, to), source: extent.source, offset: 0, length: 0, cuts: [] };
      continue;
    }
    for (let at = from; at < to;) {
      const offset: number = extent.offset + at;
      const room: number = piece ? piece.offset + PIECE - offset : 0;
      const between = piece ? offset - (piece.offset + piece.length) : 0;
      if (!piece || piece.source !== extent.source || between < 0 || between > MAX_BETWEEN || room <= 0) {
        if (piece) yield piece;
        piece = { source: extent.source, offset, length: 0, cuts: [] };
        continue;
      }
      const length = Math.min(to - at, room);
      piece.cuts.push([offset - piece.offset, offset - piece.offset + length]);
      piece.length = offset - piece.offset + length;
      at += length;
    }
  }
  if (piece) yield piece;
}

/** Moves what counts to the front of the buffer; the rest of it is given up. */
const compact = (bytes: Buffer, cuts: Piece['cuts']): Buffer => {
  let length = 0;
  for (const [from, to] of cuts) {
    if (from !== length) bytes.copyWithin(length, from, to);
    length += to - from;
  }
  return bytes.subarray(0, length);
};

/** The file that is being read: one at a time. */
class OpenedSegment {
  readonly #files: SegmentFiles;
  #segment: SegmentRecord | undefined;
  #file: SegmentFile | undefined;

  constructor(files: SegmentFiles) {
    this.#files = files;
  }

  get id(): string | null { return this.#segment?.id ?? null; }

  async take(segment: SegmentRecord | undefined): Promise<SegmentFile> {
    if (this.#file && this.#segment === segment) return this.#file;
    await this.close();
    if (!segment) throw new MediaError('INTERNAL', 'a playback of an unknown segment');
    this.#segment = segment;
    return this.#file = await this.#files.open(segment);
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }
}
