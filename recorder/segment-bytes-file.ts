/** A recorded file as it lies, up to the bytes indexed. */
import { hash } from 'node:crypto';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../platform/logging.ts';
import type { RecordedFile, SegmentRecord } from './port.ts';
import { readExactly } from './segment-file.ts';
import type { SegmentFiles } from './segment-file.ts';

const PIECE = 512 << 10;

export class SegmentBytesFile implements RecordedFile {
  readonly contentType = 'video/mp4';
  readonly byteLength: number;
  readonly etag: string;
  readonly #files: SegmentFiles;
  readonly #segment: SegmentRecord;
  readonly #logger: Logger;

  constructor(files: SegmentFiles, segment: SegmentRecord, logger: Logger) {
    this.#files = files;
    this.#segment = segment;
    this.#logger = logger;
    this.byteLength = segment.bytes;
    this.etag = `"${hash('sha256', `${segment.id} ${String(segment.bytes)} ${segment.sha256 ?? ''}`, 'base64url').slice(0, 22)}"`;
  }

  async *read(start: number, end: number, signal: AbortSignal): AsyncGenerator<Buffer> {
    try {
      await using file = await this.#files.open(this.#segment);
      const until = Math.min(end, this.byteLength);
      for (let position = start; position < until;) {
        signal.throwIfAborted();
        const piece = await readExactly(file, position, Math.min(PIECE, until - position));
        yield piece;
        position += piece.length;
      }
    } catch (error) {
      if (!signal.aborted) this.#logger.warn({ segment: this.#segment.id, reason: messageOf(error) }, 'a recorded file is gone or short');
      throw error;
    }
  }
}
