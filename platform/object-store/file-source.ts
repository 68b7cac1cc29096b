import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { MediaError, messageOf } from '../../core/errors.ts';
import { PIECE_BYTES } from './object-store.ts';
import type { ObjectSource } from './object-store.ts';

/** An open file as the source of an object; disposing closes it. It stays readable when its name goes meanwhile. */
export class FileSource implements ObjectSource, AsyncDisposable {
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
  readonly #file: FileHandle;

  private constructor(file: FileHandle, path: string, size: number, sha256: string) {
    this.#file = file;
    this.path = path;
    this.size = size;
    this.sha256 = sha256;
  }

  /** Throws NOT_FOUND (SOURCE_GONE) when there is no such file, FAILED_PRECONDITION (SOURCE_CHANGED, SOURCE_UNREADABLE) when it is not `size` bytes long or cannot be read; so does reading. */
  static async open(path: string, size: number, sha256: string): Promise<FileSource> {
    let file: FileHandle;
    try {
      file = await open(path, 'r');
    } catch (cause) {
      throw (cause as NodeJS.ErrnoException).code === 'ENOENT' ? new MediaError('NOT_FOUND', 'the file is gone', { reason: 'SOURCE_GONE', cause }) : unreadable(cause);
    }
    try {
      const found = (await file.stat()).size;
      if (found !== size) throw new MediaError('FAILED_PRECONDITION', `the file has ${found} bytes, not ${size}`, { reason: 'SOURCE_CHANGED' });
      return new FileSource(file, path, size, sha256);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async *read(start: number, end: number, signal: AbortSignal): AsyncGenerator<Buffer> {
    for (let position = start; position < end;) {
      signal.throwIfAborted();
      const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, end - position));
      const { bytesRead } = await this.#file.read(piece, 0, piece.length, position).catch((cause: unknown) => { throw unreadable(cause); });
      if (bytesRead === 0) throw new MediaError('FAILED_PRECONDITION', 'the file ends early', { reason: 'SOURCE_CHANGED' });
      position += bytesRead;
      yield piece.subarray(0, bytesRead);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

const unreadable = (cause: unknown): MediaError => new MediaError('FAILED_PRECONDITION', `the file cannot be read: ${messageOf(cause)}`, { reason: 'SOURCE_UNREADABLE', cause });
