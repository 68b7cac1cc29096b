/** Where uploads wait on the disk while they come: nothing of them is kept in memory, and nothing of them outlives its request or the process. */
import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, rm, statfs } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { MediaError } from '../core/errors.ts';
import type { Milliseconds } from '../core/units.ts';

export interface SpoolOptions {
  /** A folder of its own. */
  readonly directory: string;
  /** Of the files' names, with its dot. */
  readonly extension: string;
  readonly maxBytes: number;
  /** How often its bytes are on the disk before the upload is done with: 2, where something else is made of them. */
  readonly copies: 1 | 2;
  /** So much of the disk stays free. */
  readonly reserveBytes: number;
  readonly clock: Clock;
  /** Free bytes where the folder is; by default asked of the file system. */
  readonly freeBytes?: (directory: string) => Promise<number>;
}

/** A whole body on the disk; disposing removes it. */
export interface Spooled extends AsyncDisposable {
  readonly path: string;
  readonly bytes: number;
}

/** A client that sends nothing for so long has gone. */
const IDLE: Milliseconds = 30_000;
/** However slowly it drips. */
const WHOLE: Milliseconds = 3_600_000;
/** The disk is looked at once in so many bytes. */
const CHECK_BYTES = 64 << 20;

const freeOf = async (directory: string): Promise<number> => {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
};

export class Spool {
  readonly #options: SpoolOptions;

  private constructor(options: SpoolOptions) {
    this.#options = options;
  }

  /** Removes what an earlier process left. Throws what the file system throws. */
  static async open(options: SpoolOptions): Promise<Spool> {
    await mkdir(options.directory, { recursive: true });
    for (const name of await readdir(options.directory)) await rm(join(options.directory, name), { recursive: true, force: true });
    return new Spool(options);
  }

  /**
   * Throws PAYLOAD_TOO_LARGE, UNAVAILABLE (no room), INVALID_ARGUMENT (the client hung up, or sent nothing for 30 s); then nothing is left of it.
   */
  async take(request: IncomingMessage): Promise<Spooled> {
    const announced = Number(request.headers['content-length'] ?? 0);
    if (announced > this.#options.maxBytes) throw this.#tooLarge();
    await this.#checkRoom(announced);
    const path = join(this.#options.directory, `${randomUUID()}${this.#options.extension}`);
    try {
      const bytes = await this.#write(request, path, announced);
      return { path, bytes, [Symbol.asyncDispose]: () => rm(path, { force: true }) };
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
  }

  async #write(request: IncomingMessage, path: string, announced: number): Promise<number> {
    const { clock, maxBytes } = this.#options;
    let failure: MediaError | undefined;
    const stop = (error: MediaError): void => {
      failure ??= error;
      request.destroy();
    };
    using _whole = clock.after(WHOLE, () => { stop(gone('The upload took too long.')); });
    let idle = clock.after(IDLE, () => { stop(gone('Nothing came for 30 s.')); });
    let bytes = 0;
    let checked = 0;
    try {
      await using file = await open(path, 'wx');
      // Left open when it is refused midway, so that its client can be told.
      for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        idle[Symbol.dispose]();
        bytes += chunk.length;
        if (bytes > maxBytes) throw this.#tooLarge();
        if (bytes - checked >= CHECK_BYTES) {
          checked = bytes;
          await this.#checkRoom(Math.max((this.#options.copies - 1) * bytes, announced - bytes)); // what is to come, or as much again for what is made of it
        }
        for (let written = 0; written < chunk.length;) written += (await file.write(chunk, written)).bytesWritten;
        idle = clock.after(IDLE, () => { stop(gone('Nothing came for 30 s.')); });
      }
    } catch (error) {
      if (failure) throw failure;
      if (error instanceof MediaError) throw error;
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') throw noRoom();
      if (request.destroyed) throw gone('The client hung up before its upload was complete.');
      throw error;
    } finally {
      idle[Symbol.dispose]();
    }
    if (!request.complete) throw gone('The client hung up before its upload was complete.');
    if (bytes === 0) throw new MediaError('INVALID_ARGUMENT', 'The body is empty.', { reason: 'EMPTY_BODY' });
    return bytes;
  }

  /** The file and what is made of it must both fit. */
  async #checkRoom(bytes: number): Promise<void> {
    const { directory, freeBytes = freeOf, reserveBytes, copies } = this.#options;
    if ((await freeBytes(directory)) - copies * bytes < reserveBytes) throw noRoom();
  }

  #tooLarge(): MediaError {
    const { maxBytes } = this.#options;
    return new MediaError('PAYLOAD_TOO_LARGE', `An upload may have ${String(maxBytes)} bytes at most.`, { context: { max_bytes: maxBytes } });
  }
}

const gone = (message: string): MediaError => new MediaError('INVALID_ARGUMENT', message, { reason: 'UPLOAD_BROKEN_OFF' });
const noRoom = (): MediaError => new MediaError('UNAVAILABLE', 'There is no room on the disk for this upload.', { reason: 'DISK_FULL', retryAfterSeconds: 60 });
