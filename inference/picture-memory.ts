/** Memory that a client and a worker of one machine share, so that pictures need not go through a socket: a file in /dev/shm, written by the one, read by the other. */
import { randomUUID } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { Metadata } from '@grpc/grpc-js';

const FOLDER = '/dev/shm';
/** TMPFS_MAGIC of linux/magic.h. */
const TMPFS = 0x01021994;
const NAME = /^\/dev\/shm\/imageflow-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** In the metadata of Detect. */
const METADATA_KEY = 'imageflow-shared-memory';
/** Between the beginnings of two pictures, more than any has. What is not written takes no memory. */
const SLOT_BYTES = 32 << 20;

/** The client's side. A file, not a mapping: when memory runs out, writing fails, where a mapping would end the process (SIGBUS). */
export class PictureMemory implements Disposable {
  /** Names the file to the worker. */
  readonly metadata = new Metadata();
  readonly #path: string;
  readonly #fd: number;
  readonly #taken: boolean[] = [];
  #full = false;

  private constructor(path: string, fd: number) {
    this.#path = path;
    this.#fd = fd;
    this.metadata.set(METADATA_KEY, path);
  }

  /** Null: there is no such memory on this machine, or not for this process. */
  static create(folder = FOLDER): PictureMemory | null {
    const path = `${folder}/imageflow-${randomUUID()}`;
    try {
      if (statfsSync(folder).type !== TMPFS) return null;
      return new PictureMemory(path, openSync(path, 'wx+', 0o600));
    } catch {
      return null;
    }
  }

  /** Takes the name away; who has opened the file keeps it. */
  unlink(): void {
    rmSync(this.#path, { force: true });
  }

  /** Copies a picture into it and returns where it lies, to be freed. Null: there is no room, and there will be none until it is made anew. */
  put(pixels: Uint8Array): number | null {
    if (this.#full || pixels.length > SLOT_BYTES) return null;
    const free = this.#taken.indexOf(false);
    const slot = free < 0 ? this.#taken.length : free;
    const offset = slot * SLOT_BYTES;
    try {
      this.#full = writeSync(this.#fd, pixels, 0, pixels.length, offset) !== pixels.length;
    } catch {
      this.#full = true;
    }
    if (this.#full) return null;
    this.#taken[slot] = true;
    return offset;
  }

  free(offset: number): void {
    this.#taken[offset / SLOT_BYTES] = false;
  }

  [Symbol.dispose](): void {
    this.unlink();
    closeSync(this.#fd);
  }
}

/** The worker's side. */
export class ClientMemory implements Disposable {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Of the call's metadata. Null: it names no file, or none that can be opened here, as that of a client on another machine. */
  static open(metadata: Metadata): ClientMemory | null {
    const [path] = metadata.get(METADATA_KEY);
    if (typeof path !== 'string' || !NAME.test(path)) return null;
    let fd: number;
    try {
      fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch {
      return null;
    }
    if (fstatSync(fd).isFile()) return new ClientMemory(fd);
    closeSync(fd);
    return null;
  }

  /** Fills the whole of `into`; false: there is less. */
  read(offset: number, into: Uint8Array): boolean {
    return Number.isSafeInteger(offset) && offset >= 0 && readSync(this.#fd, into, 0, into.length, offset) === into.length;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
