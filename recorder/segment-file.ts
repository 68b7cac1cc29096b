/** Where the bytes of recorded segments come from. The one place in which a recording is opened for reading. */
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { MediaError } from '../core/errors.ts';
import type { SegmentRecord } from './port.ts';
import { segmentPath } from './segment-path.ts';

/** Positional reading of one segment. */
export interface SegmentBytes {
  /** Up to `length` bytes from `position` on; fewer only where the file ends. The buffer is the caller's. */
  read(position: number, length: number): Promise<Buffer>;
}

/** A segment opened for reading. */
export interface SegmentFile extends SegmentBytes, AsyncDisposable {
  /** Idempotent. */
  close(): Promise<void>;
}

/** Something that has segments: a directory of files, an archive. */
export interface SegmentFiles {
  /** Throws NOT_FOUND when the segment is not there any more. */
  open(segment: SegmentRecord): Promise<SegmentFile>;
}

/** The recordings directory of an edge. */
export class LocalSegments implements SegmentFiles {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async open({ id }: SegmentRecord): Promise<SegmentFile> {
    const file = await openSegment(this.#directory, id);
    const close = (): Promise<void> => file.close();
    return { ...bytesOf(file), close, [Symbol.asyncDispose]: close };
  }
}

/** Opens a segment's file below `directory`. Throws NOT_FOUND when it is gone, and INVALID_ARGUMENT for what is no segment's id. */
export const openSegment = async (directory: string, id: string): Promise<FileHandle> => {
  try {
    return await open(segmentPath(directory, id), 'r');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
    throw new MediaError('NOT_FOUND', 'the recorded file is gone', { cause, context: { id } });
  }
};

/** An open file's bytes. */
export const bytesOf = (file: FileHandle): SegmentBytes => ({
  async read(position, length) {
    const bytes = Buffer.allocUnsafe(length);
    for (let filled = 0; filled < length;) {
      const { bytesRead } = await file.read(bytes, filled, length - filled, position + filled);
      if (bytesRead === 0) return bytes.subarray(0, filled);
      filled += bytesRead;
    }
    return bytes;
  },
});

/** `length` bytes from `position` on. Throws NOT_FOUND when there are not so many: retention or a repair has been there meanwhile. */
export const readExactly = async (file: SegmentBytes, position: number, length: number): Promise<Buffer> => {
  const bytes = await file.read(position, length);
  if (bytes.length < length) throw new MediaError('NOT_FOUND', 'the recorded file is shorter than its index says');
  return bytes;
};

/** Whether a recording can be left out for this, as if the list were newer: its file has gone or makes no sense. An archive that cannot be asked now is no hole in the recording. */
export const isGone = (error: unknown): error is MediaError => error instanceof MediaError && error.code !== 'UNAVAILABLE';
