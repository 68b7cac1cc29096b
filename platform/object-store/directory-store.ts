/** `ObjectStore` in a directory of this machine or a mounted one: an object is a file, complete once it has its name. */
import { createHash, randomUUID } from 'node:crypto';
import { link, mkdir, open, readdir, rename, rmdir, stat, unlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import { listDirectory } from './directory-list.ts';
import { FileSource } from './file-source.ts';
import { checkKey, checkRange, checksumMismatch, notFound } from './object-store.ts';
import type { ObjectHead, ObjectPage, ObjectSource, ObjectStore, PutOptions } from './object-store.ts';
import { STALL } from './watchdog.ts';

/** Not a key: what has no name yet. */
const INCOMING = '.incoming';
/** Node reads files with four threads. So many may hang in a directory that does not answer (a network disk gone) and no more. */
const MAX_HANGING = 2;
/** The file system cannot link, or not there: then the bytes are copied. */
const CANNOT_LINK: ReadonlySet<string> = new Set(['EXDEV', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'ENOSYS', 'EACCES']);

export class DirectoryStore implements ObjectStore {
  readonly place: string;
  readonly holds = false;
  readonly #root: string;
  readonly #clock: Clock;
  readonly #deadline: Milliseconds;
  #hanging = 0;

  /** Makes nothing until the first `put`. `deadline`: for each operation of the file system. */
  constructor(root: string, clock: Clock, deadline: Milliseconds = STALL) {
    this.place = `file:${root}`;
    this.#root = root;
    this.#clock = clock;
    this.#deadline = deadline;
  }

  async put(key: string, source: ObjectSource, options: PutOptions, signal: AbortSignal): Promise<void> {
    checkKey(key);
    if (options.legalHold === true) throw new MediaError('FAILED_PRECONDITION', 'a directory knows no legal hold', { reason: 'OBJECT_STORE_REFUSED' });
    const incoming = join(this.#root, INCOMING, randomUUID());
    const path = this.#path(key);
    await this.#timely(() => mkdir(dirname(incoming), { recursive: true }));
    try {
      const hash = (await this.#link(source, incoming)) ? await this.#hash(source, incoming, signal) : await this.#copy(source, incoming, options, signal);
      if (hash !== source.sha256) throw checksumMismatch(key);
      await this.#timely(() => this.#settle(incoming, path));
    } finally {
      // Renaming a link onto another of the same file leaves both (POSIX rename).
      await this.#timely(() => gone(unlink(incoming))).catch(() => undefined);
    }
  }

  async get(key: string, start: number, end: number, signal: AbortSignal): Promise<Buffer> {
    checkKey(key);
    checkRange(start, end);
    signal.throwIfAborted();
    return this.#timely(async () => {
      await using file = await open(this.#path(key), 'r').catch((error: unknown) => { throw codeOf(error) === 'ENOENT' ? notFound(key, error) : error; });
      const bytes = Buffer.allocUnsafe(end - start);
      for (let filled = 0; filled < bytes.length;) {
        const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, start + filled);
        if (bytesRead === 0) throw new MediaError('NOT_FOUND', 'the object is shorter', { reason: 'OBJECT_RANGE', context: { key } });
        filled += bytesRead;
      }
      return bytes;
    });
  }

  async head(key: string, signal: AbortSignal): Promise<ObjectHead | undefined> {
    checkKey(key);
    signal.throwIfAborted();
    const found = await this.#timely(() => gone(stat(this.#path(key))));
    return found?.isFile() === true ? { key, size: found.size, modified: found.mtimeMs, sha256: undefined, locked: false } : undefined;
  }

  list(prefix: string, after: string | undefined, signal: AbortSignal): Promise<ObjectPage> {
    signal.throwIfAborted();
    return this.#timely(() => listDirectory(this.#root, prefix, after));
  }

  async delete(key: string, signal: AbortSignal): Promise<void> {
    checkKey(key);
    signal.throwIfAborted();
    await this.#timely(async () => {
      const path = this.#path(key);
      await gone(unlink(path));
      for (let folder = dirname(path); relative(this.#root, folder) !== ''; folder = dirname(folder)) {
        try {
          await rmdir(folder);
        } catch {
          return; // not empty, or somebody put something there just now
        }
      }
    });
  }

  async abortStale(cutoff: Milliseconds, signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    return this.#timely(async () => {
      const folder = join(this.#root, INCOMING);
      let removed = 0;
      for (const name of (await gone(readdir(folder))) ?? []) {
        // A link has its file's modification time; its making changed `ctime`.
        const found = await gone(stat(join(folder, name)));
        if (found === undefined || found.ctimeMs >= cutoff) continue;
        await gone(unlink(join(folder, name)));
        removed++;
      }
      return removed;
    });
  }

  [Symbol.dispose](): void {
    // Nothing is held open between calls.
  }

  #path(key: string): string {
    return join(this.#root, ...key.split('/'));
  }

  async #link(source: ObjectSource, to: string): Promise<boolean> {
    const from = source.path;
    if (from === undefined) return false;
    return this.#timely(async () => {
      try {
        await link(from, to);
        return true;
      } catch (error) {
        // A source whose name has gone is still open, and can be copied.
        if (CANNOT_LINK.has(codeOf(error)) || codeOf(error) === 'ENOENT') return false;
        throw error;
      }
    });
  }

  /** Of what was linked, which need not be what the source has open. */
  async #hash({ size, sha256 }: ObjectSource, path: string, signal: AbortSignal): Promise<string> {
    const hash = createHash('sha256');
    await using linked = await FileSource.open(path, size, sha256);
    for await (const piece of linked.read(0, size, signal)) hash.update(piece);
    return hash.digest('hex');
  }

  async #copy(source: ObjectSource, to: string, options: PutOptions, signal: AbortSignal): Promise<string> {
    const hash = createHash('sha256');
    const file = await this.#timely(() => open(to, 'wx', 0o640));
    try {
      for await (const piece of source.read(0, source.size, signal)) {
        await options.pace?.(piece.length, signal);
        hash.update(piece);
        await this.#timely(() => file.writeFile(piece));
      }
    } finally {
      await this.#timely(() => file.close());
    }
    return hash.digest('hex');
  }

  /** Gives what has come its name, durably. */
  async #settle(incoming: string, path: string): Promise<void> {
    const file = await open(incoming, 'r+');
    try {
      await file.datasync();
    } finally {
      await file.close();
    }
    const made = await mkdir(dirname(path), { recursive: true });
    await rename(incoming, path);
    await syncFolders(dirname(path), made === undefined ? dirname(path) : dirname(made));
  }

  /**
   * What `work` resolves to. Throws DEADLINE_EXCEEDED when it has not settled in time, UNAVAILABLE at once while as many as may hang do, and for
   * a full disk or any other failure of the file system.
   */
  async #timely<T>(work: () => Promise<T>): Promise<T> {
    if (this.#hanging >= MAX_HANGING) throw new MediaError('UNAVAILABLE', 'the archive directory does not answer', { reason: 'OBJECT_STORE_STUCK' });
    let timer: Disposable | undefined;
    const running = work();
    try {
      return await Promise.race([
        running,
        new Promise<never>((_, reject) => {
          timer = this.#clock.after(this.#deadline, () => {
            this.#hanging++;
            running.finally(() => { this.#hanging--; }).catch(() => undefined);
            reject(new MediaError('DEADLINE_EXCEEDED', 'the archive directory does not answer', { reason: 'OBJECT_STORE_STUCK' }));
          });
        }),
      ]);
    } catch (error) {
      if (error instanceof MediaError || codeOf(error) === '') throw error;
      throw new MediaError('UNAVAILABLE', `the archive directory cannot be used: ${messageOf(error)}`, { reason: 'OBJECT_STORE_UNAVAILABLE', cause: error });
    } finally {
      timer?.[Symbol.dispose]();
    }
  }
}

/** `folder` and those above it, up to and with `top`. */
const syncFolders = async (folder: string, top: string): Promise<void> => {
  if (process.platform === 'win32') return; // it opens no folder
  for (let at = folder; ; at = dirname(at)) {
    const handle = await open(at, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (at === top || at === dirname(at)) return;
  }
};

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '');

/** Undefined where there is nothing. */
const gone = async <T>(work: Promise<T>): Promise<T | undefined> => {
  try {
    return await work;
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
};
