/** The folder of finished exports, and of those being made. */
import { mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { MediaError } from '../../core/errors.ts';
import type { RecordedFile } from '../../recorder/port.ts';

const PIECE = 512 << 10;

export class ExportFiles {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Where the file of a job is made by this process. Makes the folder. */
  async partial(id: string): Promise<string> {
    await mkdir(this.#folder, { recursive: true });
    return join(this.#folder, `${id}.${String(process.pid)}.part`);
  }

  /** A file that is made now is that of its job. */
  async finish(id: string, partial: string): Promise<void> {
    await rename(partial, this.#path(id));
  }

  /** Bytes free on its disk, for whoever is no administrator. */
  async free(): Promise<number> {
    const { bavail, bsize } = await statfs(this.#folder);
    return bavail * bsize;
  }

  /** Throws NOT_FOUND when it has gone. */
  async open(id: string): Promise<RecordedFile> {
    const path = this.#path(id);
    const { size, mtimeMs } = await stat(path).catch(() => { throw gone(); });
    return { byteLength: size, etag: `"${id}-${size.toString(36)}-${Math.floor(mtimeMs).toString(36)}"`, contentType: 'video/mp4', read: (start, end, signal) => bytesOf(path, start, Math.min(end, size), signal) };
  }

  /** Nothing happens when it is not there. */
  async remove(id: string): Promise<void> {
    await rm(this.#path(id), { force: true });
  }

  /** What lies there: whose it is, and whether it is finished. */
  async list(): Promise<{ readonly id: string; readonly path: string; readonly finished: boolean }[]> {
    const names = await readdir(this.#folder).catch(() => []);
    return names.flatMap((name) => {
      const match = /^([\w-]{1,64})\.(mp4|\d+\.part)$/.exec(name);
      return match?.[1] === undefined ? [] : [{ id: match[1], path: join(this.#folder, name), finished: match[2] === 'mp4' }];
    });
  }

  #path(id: string): string {
    return join(this.#folder, `${id}.mp4`);
  }
}

const gone = (): MediaError => new MediaError('NOT_FOUND', 'The file of this export has gone; ask for it again.', { reason: 'EXPORT_FILE_GONE' });

async function* bytesOf(path: string, start: number, end: number, signal: AbortSignal): AsyncGenerator<Buffer> {
  await using file = await open(path).catch(() => { throw gone(); });
  for (let position = start; position < end;) {
    signal.throwIfAborted();
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(Math.min(PIECE, end - position)), { position });
    if (bytesRead === 0) throw gone();
    yield buffer.subarray(0, bytesRead);
    position += bytesRead;
  }
}
