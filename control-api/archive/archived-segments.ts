import { MediaError, messageOf } from '../../core/errors.ts';
import { MAX_GET_BYTES } from '../../platform/object-store/object-store.ts';
import type { ObjectStore } from '../../platform/object-store/object-store.ts';
import type { SegmentFile, SegmentFiles, SegmentRecord } from '../../recorder/port.ts';
import { archiveKey } from './keys.ts';

/** A request for less costs as much: headers and indexes are read out of what came along. */
const BLOCK = 64 << 10;

/** Segments where they are: on this machine, else in the archive (REC-8). A reader cannot tell the difference. */
export class ArchivedSegments implements SegmentFiles {
  readonly #local: SegmentFiles;
  readonly #objects: ObjectStore;

  constructor(local: SegmentFiles, objects: ObjectStore) {
    this.#local = local;
    this.#objects = objects;
  }

  /** Throws NOT_FOUND when the segment is in neither place, UNAVAILABLE (ARCHIVE_UNAVAILABLE) when the archive cannot be asked. */
  async open(segment: SegmentRecord): Promise<SegmentFile> {
    try {
      return await this.#local.open(segment);
    } catch (error) {
      const key = archiveKey(segment.id);
      if (!(error instanceof MediaError) || error.code !== 'NOT_FOUND' || segment.open || key === undefined) throw error;
      const file = new ArchivedSegment(this.#objects, key, segment.bytes);
      await file.read(0, 1); // is it there?
      return file;
    }
  }
}

/** Range reads of one object. The last two blocks are kept: the head and the tail, between which a reader of the index goes to and fro. */
class ArchivedSegment implements SegmentFile {
  readonly #objects: ObjectStore;
  readonly #key: string;
  readonly #size: number;
  readonly #stop = new AbortController();
  #blocks: readonly { readonly start: number; readonly bytes: Buffer }[] = [];

  constructor(objects: ObjectStore, key: string, size: number) {
    this.#objects = objects;
    this.#key = key;
    this.#size = size;
  }

  async read(position: number, length: number): Promise<Buffer> {
    const end = Math.min(position + length, this.#size);
    if (position >= end) return Buffer.alloc(0);
    const block = this.#blocks.find(({ start, bytes }) => start <= position && end <= start + bytes.length);
    if (block) return Buffer.from(block.bytes.subarray(position - block.start, end - block.start));
    if (end - position >= BLOCK) return this.#get(position, end);
    // Whoever reads the last bytes wants those before them next.
    const start = end === this.#size ? Math.max(0, Math.min(position, end - BLOCK)) : position;
    const bytes = await this.#get(start, Math.min(start + BLOCK, this.#size));
    this.#blocks = [{ start, bytes }, ...this.#blocks.slice(0, 1)];
    return Buffer.from(bytes.subarray(position - start, end - start));
  }

  close(): Promise<void> {
    this.#stop.abort(new Error('nobody reads it any more'));
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #get(start: number, end: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    try {
      for (let at = start; at < end; at += MAX_GET_BYTES) pieces.push(await this.#objects.get(this.#key, at, Math.min(at + MAX_GET_BYTES, end), this.#stop.signal));
    } catch (error) {
      if (!(error instanceof MediaError) || error.code === 'NOT_FOUND') throw error;
      throw new MediaError('UNAVAILABLE', `the archive cannot be read: ${messageOf(error)}`, { reason: 'ARCHIVE_UNAVAILABLE', cause: error, retryAfterSeconds: 10 });
    }
    return pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces);
  }
}
